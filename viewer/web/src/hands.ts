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
const longestTap = 1200;

export function connectHands(stage: Stage, wishes: Wishes): void {
  const hands = new Hands(stage, wishes);
  const { canvas } = stage;
  canvas.addEventListener("pointerdown", (event) => hands.press(event));
  canvas.addEventListener("pointermove", (event) => hands.move(event));
  canvas.addEventListener("pointerup", (event) => hands.lift(event));
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
    canvas.addEventListener(end, (event) => hands.lose(event));
  }
  canvas.addEventListener("pointerleave", (event) => {
    // A finger that has tapped leaves too, and its number must stay to be read.
    if (event.pointerType !== "touch") wishes.hover(undefined);
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => hands.roll(event), { passive: false });
}

class Hands {
  private readonly canvas: HTMLCanvasElement;
  /** Where the pointers that are down stand, by their numbers. */
  private readonly down = new Map<number, Spot>();
  private moves = false;
  private drag: ((to: Spot) => void) | undefined;
  private tap: { readonly at: Spot; readonly since: number } | undefined;

  constructor(
    private readonly stage: Stage,
    private readonly wishes: Wishes,
  ) {
    this.canvas = stage.canvas;
  }

  press(event: PointerEvent): void {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, at(event));
    this.moves = event.button !== 0 || event.shiftKey;
    const alone = this.down.size === 1 && !this.moves;
    this.tap = alone ? { at: at(event), since: event.timeStamp } : undefined;
    this.drag = alone ? this.wishes.grab(this.inPicture(event)) : undefined;
    this.stage.grasp();
  }

  move(event: PointerEvent): void {
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.wishes.hover(this.inPicture(event));
      return;
    }
    if (this.tap && apart(this.tap.at, at(event)) > tremble) this.tap = undefined;
    const pair = [...this.down.keys()].slice(0, 2);
    const [one, other] = pair.map((id) => this.down.get(id)!);
    this.down.set(event.pointerId, at(event));
    if (one && other) {
      const [oneNow, otherNow] = pair.map((id) => this.down.get(id)!);
      this.pinch(one, other, oneNow!, otherNow!);
    } else if (this.drag) this.drag(this.inPicture(event));
    else if (this.moves) this.stage.move(event.clientX - before.x, event.clientY - before.y);
    // A trembling finger that taps turns nothing.
    else if (!this.tap) this.stage.turn(event.clientX - before.x, event.clientY - before.y);
  }

  lift(event: PointerEvent): void {
    if (this.tap && event.timeStamp - this.tap.since < longestTap) this.wishes.tap(this.inPicture(event));
  }

  lose({ pointerId }: PointerEvent): void {
    this.down.delete(pointerId);
    this.tap = this.drag = undefined;
  }

  roll(event: WheelEvent): void {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? pixelsPerLine : 1);
    const speed = event.ctrlKey ? pinchSpeed : wheelSpeed;
    this.stage.zoom(Math.exp(-pixels * speed), ...this.fromMiddle(at(event)));
  }

  private pinch(one: Spot, other: Spot, oneNow: Spot, otherNow: Spot): void {
    const before = middle(one, other);
    const now = middle(oneNow, otherNow);
    this.stage.move(now.x - before.x, now.y - before.y);
    this.stage.zoom(apart(oneNow, otherNow) / (apart(one, other) || 1), ...this.fromMiddle(now));
  }

  private fromMiddle({ x, y }: Spot): [number, number] {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [x - left - width / 2, y - top - height / 2];
  }

  private inPicture(event: MouseEvent): Spot {
    const { left, top } = this.canvas.getBoundingClientRect();
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
