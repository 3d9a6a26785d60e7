/**
 * A plane that cuts the scans open. Scans are shells, so the cut is shown as the line in which they meet
 * the plane, and never filled. The plane is moved by its handle, its slider or the keys of that.
 */

import { Plane, Vector3 } from "three";
import type { Cut } from "./case";
import { button, make } from "./dom";
import type { Overlay } from "./overlay";
import type { Part, Parts } from "./parts";
import { orientation } from "./pose";
import type { Spot, Stage } from "./stage";
import type { Tool } from "./tools";
import { words } from "./words";

type Way = "across" | "front" | "level" | "seen";

/** Pixels from a finger to the line or the handle that it means. */
const reachOfLine = 14;
const reachOfHandle = 26;
const steps = 1000;

export class Section implements Tool {
  readonly name = "section";
  readonly isLayer = true;
  private on = false;
  private readonly choices = new Map<Way, HTMLButtonElement>();
  /** Out of the half that stays, in the scans' coordinates: what is cut away lies along it. */
  private readonly away = new Vector3(1, 0, 0);
  /** Millimetres along `away` at which the plane stands. */
  private place = 0;
  private range: readonly [number, number] = [0, 1];
  /** The line in which each part is cut, in pairs of points. */
  private readonly outlines = new Map<Part, Float32Array>();
  private waiting = 0;
  private readonly slider = make("input", {
    type: "range",
    min: "0",
    max: String(steps),
    "aria-label": words.sectionPlace,
  });
  private readonly output = make("output", {});

  constructor(
    private readonly stage: Stage,
    private readonly parts: Parts,
    overlay: Overlay,
  ) {
    parts.onChange(() => this.on && this.soon());
    overlay.add((pen) => {
      if (!this.on) return;
      for (const segments of this.outlines.values()) pen.outline(this.spots(segments));
      const { at, step } = this.handle();
      const tip = this.isFaceOn(step) ? { x: 0, y: -1 } : step;
      pen.handle(at, { x: at.x + tip.x, y: at.y + tip.y });
    });
    this.slider.addEventListener("input", () => {
      const [low, high] = this.range;
      this.put(low + ((high - low) * this.slider.valueAsNumber) / steps);
    });
  }

  start(): readonly Node[] {
    this.on = true;
    const ways = make(
      "span",
      { class: "choices", role: "group", "aria-label": words.sectionWay },
      ...(["across", "front", "level", "seen"] as const).map((way) => this.choice(way)),
    );
    this.turn(this.nearestWay());
    return [
      ways,
      make("label", { class: "card-slider" }, this.slider, this.output),
      button(words.flip, () => this.flip()),
      button(words.lookAtCut, () => this.stage.face(this.away, this.middle())),
    ];
  }

  stop(): void {
    this.on = false;
    this.parts.look.plane = undefined;
    this.outlines.clear();
    this.parts.repaint();
  }

  grab(spot: Spot): ((to: Spot) => void) | undefined {
    const { at } = this.handle();
    if (Math.hypot(at.x - spot.x, at.y - spot.y) > reachOfHandle) return undefined;
    let before = spot;
    return (to) => {
      this.put(this.place + this.along({ x: to.x - before.x, y: to.y - before.y }));
      before = to;
    };
  }

  /** Where the scans are cut open, if they are. */
  get cut(): Cut | null {
    return this.on ? [this.away.x, this.away.y, this.away.z, this.place] : null;
  }

  /** Cuts where somebody else has cut. */
  cutAt([x, y, z, place]: Cut): void {
    this.away.set(x, y, z).normalize();
    this.tellWay(undefined);
    this.measureRange();
    this.put(place);
  }

  /** The point of the cut line next to a spot of the picture, if one is near. */
  nearest(spot: Spot): Vector3 | undefined {
    if (!this.on) return undefined;
    let best = reachOfLine;
    let found: Vector3 | undefined;
    for (const segments of this.outlines.values()) {
      for (let i = 0; i < segments.length; i += 6) {
        const from = new Vector3().fromArray(segments, i);
        const to = new Vector3().fromArray(segments, i + 3);
        const { apart, portion } = awayFrom(spot, this.stage.spot(from), this.stage.spot(to));
        if (apart >= best) continue;
        best = apart;
        found = from.lerp(to, portion);
      }
    }
    return found;
  }

  /** Cuts anew, after a scan came in finer detail. */
  refresh(): void {
    if (this.on) this.soon();
  }

  /** The way whose cut is seen best from where the camera stands. */
  private nearestWay(): Way {
    const towards = this.stage.viewpoint().applyQuaternion(this.stage.jaws.quaternion);
    const sizes = { across: Math.abs(towards.x), front: Math.abs(towards.z), level: Math.abs(towards.y) };
    const best = Math.max(...Object.values(sizes));
    return (["across", "front", "level"] as const).find((way) => sizes[way] === best)!;
  }

  private choice(way: Way): HTMLButtonElement {
    const choice = button(words.sectionWays[way], () => this.turn(way));
    this.choices.set(way, choice);
    return choice;
  }

  /** None of the ways where the plane stands as somebody else has put it. */
  private tellWay(chosen: Way | undefined): void {
    for (const [way, choice] of this.choices) choice.setAttribute("aria-pressed", String(way === chosen));
  }

  /** Turns the plane; what is nearer to the viewer is cut away. */
  private turn(way: Way): void {
    this.tellWay(way);
    const world = {
      across: new Vector3(1, 0, 0),
      front: new Vector3(0, 0, 1),
      level: new Vector3(0, 1, 0),
      seen: new Vector3(1, 0, 0).applyQuaternion(orientation(this.stage.goal())),
    }[way];
    const toScan = this.stage.jaws.quaternion.clone().invert();
    this.away.copy(world).applyQuaternion(toScan);
    if (this.away.dot(this.stage.viewpoint()) < 0) this.away.negate();
    this.measureRange();
    const middle = this.stage.goal().target.clone().applyQuaternion(toScan);
    this.put(this.away.dot(middle));
  }

  private flip(): void {
    this.away.negate();
    this.measureRange();
    this.put(-this.place);
  }

  private put(place: number): void {
    const [low, high] = this.range;
    this.place = Math.min(Math.max(place, low), high);
    this.slider.value = String(((this.place - low) / (high - low || 1)) * steps);
    this.output.value = words.millimetres(this.place - low, 1);
    const normal = this.away.clone().negate().applyQuaternion(this.stage.jaws.quaternion);
    this.parts.look.plane = new Plane(normal, this.place);
    for (const part of this.parts.every) part.appear();
    this.soon();
  }

  private measureRange(): void {
    const heights = this.stage.subject.points().map((point) => {
      const local = point.clone().applyQuaternion(this.stage.jaws.quaternion.clone().invert());
      return local.dot(this.away);
    });
    this.range = heights.length ? [Math.min(...heights), Math.max(...heights)] : [0, 1];
  }

  private soon(): void {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      if (this.on) this.outline();
      this.stage.requestFrame();
    });
  }

  private outline(): void {
    this.outlines.clear();
    const normal = this.away.toArray() as [number, number, number];
    for (const part of this.parts.every) {
      if (part.visible) this.outlines.set(part, part.cut(normal, -this.place));
    }
  }

  private spots(segments: Float32Array): Spot[] {
    const point = new Vector3();
    const spots: Spot[] = [];
    for (let i = 0; i < segments.length; i += 3) spots.push(this.stage.spot(point.fromArray(segments, i)));
    return spots;
  }

  /** The middle of what is seen, on the plane. */
  private middle(): Vector3 {
    const toScan = this.stage.jaws.quaternion.clone().invert();
    const target = this.stage.goal().target.clone().applyQuaternion(toScan);
    return target.addScaledVector(this.away, this.place - this.away.dot(target));
  }

  /** Where the handle is, and how many pixels it moves, right and down, for a millimetre of the plane. */
  private handle(): { readonly at: Spot; readonly step: Spot } {
    const middle = this.middle();
    const at = this.stage.spot(middle);
    const next = this.stage.spot(middle.clone().add(this.away));
    return { at, step: { x: next.x - at.x, y: next.y - at.y } };
  }

  private isFaceOn({ x, y }: Spot): boolean {
    return Math.hypot(x, y) < this.stage.pixelsPerMillimetre * 0.2;
  }

  /** How far a drag of so many pixels moves the plane, in mm; up and down where it is seen face on. */
  private along({ x, y }: Spot): number {
    const { step } = this.handle();
    if (this.isFaceOn(step)) return -y / this.stage.pixelsPerMillimetre;
    return (x * step.x + y * step.y) / (step.x ** 2 + step.y ** 2);
  }
}

/** From a spot to a stroke of the picture: pixels, and how far along the stroke its nearest point is. */
function awayFrom(spot: Spot, from: Spot, to: Spot): { apart: number; portion: number } {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const part = length ? ((spot.x - from.x) * dx + (spot.y - from.y) * dy) / length : 0;
  const portion = Math.min(Math.max(part, 0), 1);
  return { apart: Math.hypot(from.x + dx * portion - spot.x, from.y + dy * portion - spot.y), portion };
}
