/**
 * Mouse, pen and fingers on the picture: one turns, two pinch and move, the wheel zooms to where it points.
 * Everything follows the hand exactly and stops with it; a touch that the system takes away is forgotten.
 */

import type { Stage } from "./stage";

interface Point {
  readonly x: number;
  readonly y: number;
}

const pixelsPerLine = 16;
const wheelSpeed = 0.0015;
/** A trackpad's pinch arrives as a wheel with Ctrl, in much smaller steps. */
const pinchSpeed = 0.01;

export function connectHands(stage: Stage): void {
  const { canvas } = stage;
  const down = new Map<number, Point>();
  let moves = false;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    moves = event.button !== 0 || event.shiftKey;
    stage.grasp();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const pair = [...down.keys()].slice(0, 2);
    const [one, other] = pair.map((id) => down.get(id)!);
    down.set(event.pointerId, at(event));
    if (one && other) {
      const [oneNow, otherNow] = pair.map((id) => down.get(id)!);
      pinch(one, other, oneNow!, otherNow!);
    } else if (moves) stage.move(event.clientX - before.x, event.clientY - before.y);
    else stage.turn(event.clientX - before.x, event.clientY - before.y);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
    canvas.addEventListener(end, ({ pointerId }) => down.delete(pointerId));
  }
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? pixelsPerLine : 1);
      const speed = event.ctrlKey ? pinchSpeed : wheelSpeed;
      stage.zoom(Math.exp(-pixels * speed), ...fromMiddle(at(event)));
    },
    { passive: false },
  );

  function pinch(one: Point, other: Point, oneNow: Point, otherNow: Point): void {
    const before = middle(one, other);
    const now = middle(oneNow, otherNow);
    stage.move(now.x - before.x, now.y - before.y);
    stage.zoom(apart(oneNow, otherNow) / (apart(one, other) || 1), ...fromMiddle(now));
  }

  function fromMiddle({ x, y }: Point): [number, number] {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [x - left - width / 2, y - top - height / 2];
  }
}

function at({ clientX, clientY }: MouseEvent): Point {
  return { x: clientX, y: clientY };
}

function middle(one: Point, other: Point): Point {
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}

function apart(one: Point, other: Point): number {
  return Math.hypot(one.x - other.x, one.y - other.y) || 1;
}
