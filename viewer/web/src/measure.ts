/** The measuring tools: point to point, an angle of three points, and how thick a part is under a tap. */

import { Vector3 } from "three";
import type { MarkKind, Vector } from "./case";
import { button, make } from "./dom";
import { type Marks, angleAt, draw } from "./marks";
import type { Overlay } from "./overlay";
import type { Picking } from "./picking";
import type { Spot, Stage } from "./stage";
import type { Tool } from "./tools";
import { words } from "./words";

/** Millimetres below which two taps are one. */
const samePlace = 0.005;

export class Measure implements Tool {
  private points: Vector3[] = [];
  private over: Vector3 | undefined;
  private scan: number | null = null;
  private readonly hint = make("p", { class: "card-hint", role: "status" });
  private on = false;

  constructor(
    readonly name: Exclude<MarkKind, "pin">,
    stage: Stage,
    private readonly overlay: Overlay,
    private readonly picking: Picking,
    private readonly marks: Marks,
  ) {
    overlay.add((pen) => {
      if (!this.on) return;
      const points = this.over && this.points.length ? [...this.points, this.over] : this.points;
      const spots = points.map((point) => stage.spot(point));
      for (const spot of spots) pen.dot(spot);
      if (this.isWhole(points)) draw(pen, stage, this.mark(points));
      else if (spots.length > 1) pen.line(spots, true);
    });
  }

  start(): readonly Node[] {
    this.on = true;
    this.begin();
    return [this.hint, button(words.undo, () => this.undo())];
  }

  stop(): void {
    this.on = false;
    this.points = [];
    this.over = undefined;
  }

  tap(spot: Spot): void {
    const picked = this.picking.at(spot);
    if (!picked) {
      this.hint.textContent = words.missed;
      return;
    }
    const behind = this.name === "thickness" ? this.picking.through(picked) : undefined;
    if (this.name === "thickness" && !behind) {
      this.hint.textContent = words.noOtherSide;
      return;
    }
    const last = this.points.at(-1);
    if (last && last.distanceTo(picked.point) < samePlace) return; // a finger that tapped twice
    if (!this.points.length) this.scan = picked.part?.scan.n ?? null;
    this.points.push(picked.point.clone(), ...(behind ? [behind] : []));
    if (this.isWhole(this.points)) this.finish();
    else this.begin();
  }

  hover(spot: Spot | undefined): void {
    this.over = spot && this.points.length ? this.picking.at(spot)?.point : undefined;
    this.overlay.refresh();
  }

  private finish(): void {
    const mark = this.mark(this.points);
    this.marks.add(mark);
    this.points = [];
    this.over = undefined;
    this.begin();
  }

  private undo(): void {
    const last = [...this.marks.all].reverse().find(({ kind }) => kind === this.name);
    if (this.points.length) this.points.pop();
    else if (last) this.marks.remove(last);
    this.begin();
  }

  private begin(): void {
    this.hint.textContent = words.hints[this.name][this.points.length] || "";
    this.overlay.refresh();
  }

  private isWhole(points: readonly Vector3[]): boolean {
    return points.length === (this.name === "angle" ? 3 : 2);
  }

  private mark(points: readonly Vector3[]) {
    const [one, corner, other] = points as [Vector3, Vector3, Vector3];
    const value = this.name === "angle" ? angleAt(one, corner, other) : one.distanceTo(corner);
    const places = points.map((point) => point.toArray() as unknown as Vector);
    return { kind: this.name, points: places, value, scan: this.scan };
  }
}
