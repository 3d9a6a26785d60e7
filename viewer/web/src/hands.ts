/**
 * Mouse, pen and fingers on the picture: one turns, two pinch and move, the wheel zooms to where it points.
 * Everything follows the hand exactly and stops with it; a touch that the system takes away is forgotten.
 * A touch that does not move is a tap: it is for the tool.
 */

import type { Spot, Stage } from "./stage";

/** What a tool wants of the hands. */
interface Wishes {
  tap(spot: Spot): void;
  /** Undefined when the pointer leaves the picture. */
  hover(spot: Spot | undefined): void;
  /** Whether something there can be dragged: then by what; else the picture turns. */
  grab(spot: Spot): ((to: Spot) => void) | undefined;
}

const pixelsPerLine = 16;
const wheelSpeed = 0.0015;
/** A trackpad's pinch arrives as a wheel with Ctrl, in much smaller steps. */
const pinchSpeed = 0.01;
/** Pixels that a finger trembles, and milliseconds that it rests, when it taps. */
const tremble = 7;
const longestTap = 700;

export function connectHands(stage: Stage, wishes: Wishes): void {
  const { canvas } = stage;
  const down = new Map<number, Spot>();
  let moves = false;
  let drag: ((to: Spot) => void) | undefined;
  let tap: { readonly at: Spot; readonly since: number } | undefined;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    moves = event.button !== 0 || event.shiftKey;
    const alone = down.size === 1 && !moves;
    tap = alone ? { at: at(event), since: event.timeStamp } : undefined;
    drag = alone ? wishes.grab(inPicture(event)) : undefined;
    stage.grasp();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") wishes.hover(inPicture(event));
      return;
    }
    if (tap && apart(tap.at, at(event)) > tremble) tap = undefined;
    const pair = [...down.keys()].slice(0, 2);
    const [one, other] = pair.map((id) => down.get(id)!);
    down.set(event.pointerId, at(event));
    if (one && other) {
      const [oneNow, otherNow] = pair.map((id) => down.get(id)!);
      pinch(one, other, oneNow!, otherNow!);
    } else if (drag) drag(inPicture(event));
    else if (moves) stage.move(event.clientX - before.x, event.clientY - before.y);
    // A trembling finger that taps turns nothing.
    else if (!tap) stage.turn(event.clientX - before.x, event.clientY - before.y);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (tap && event.timeStamp - tap.since < longestTap) wishes.tap(inPicture(event));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
    canvas.addEventListener(end, ({ pointerId }) => {
      down.delete(pointerId);
      tap = drag = undefined;
    });
  }
  canvas.addEventListener("pointerleave", () => wishes.hover(undefined));
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

  function pinch(one: Spot, other: Spot, oneNow: Spot, otherNow: Spot): void {
    const before = middle(one, other);
    const now = middle(oneNow, otherNow);
    stage.move(now.x - before.x, now.y - before.y);
    stage.zoom(apart(oneNow, otherNow) / (apart(one, other) || 1), ...fromMiddle(now));
  }

  function fromMiddle({ x, y }: Spot): [number, number] {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [x - left - width / 2, y - top - height / 2];
  }

  function inPicture(event: MouseEvent): Spot {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

function at({ clientX, clientY }: MouseEvent): Spot {
  return { x: clientX, y: clientY };
}

function middle(one: Spot, other: Spot): Spot {
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
}

function apart(one: Spot, other: Spot): number {
  return Math.hypot(one.x - other.x, one.y - other.y) || 1;
}
