/**
 * What was measured: drawn over the picture, listed beside it, and kept by the server until it is removed
 * or goes with a comment. Lengths are millimetres in the scans' own coordinates, whatever the camera does.
 */

import { Vector3 } from "three";
import { type Case, type KeptMark, type Mark, type Vector, element } from "./case";
import { button, make, showPicture } from "./dom";
import type { Overlay, Pen } from "./overlay";
import type { Parts } from "./parts";
import { post } from "./post";
import type { Stage } from "./stage";
import { amount, words } from "./words";

export class Marks {
  /** Of the version that is shown. */
  version: number;
  private kept: KeptMark[];
  /** Those that the server could not be told of. */
  private readonly unkept = new Set<KeptMark>();
  private readonly listeners: (() => void)[] = [];

  constructor(
    private readonly shared: Case,
    private readonly stage: Stage,
    private readonly overlay: Overlay,
  ) {
    this.version = shared.version;
    this.kept = [...shared.marks];
    overlay.add((pen) => this.all.forEach((mark) => draw(pen, stage, mark)));
    addEventListener("online", () => this.unkept.forEach((mark) => void this.keep(mark)));
    this.changed();
  }

  get all(): readonly KeptMark[] {
    return this.kept.filter(({ version }) => version === this.version);
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  show(version: number): void {
    this.version = version;
    this.changed();
  }

  /** Shows a mark at once, and has it kept; without a connection, as soon as there is one again. */
  add(mark: Mark): void {
    const shown: KeptMark = { ...mark, id: "", version: this.version };
    this.kept.push(shown);
    this.changed();
    void this.keep(shown);
  }

  remove(mark: KeptMark): void {
    this.kept = this.kept.filter((one) => one !== mark);
    this.unkept.delete(mark);
    if (mark.id) this.forget(mark);
    this.changed();
  }

  private async keep(shown: KeptMark): Promise<void> {
    const { kind, points, value, scan, version } = shown;
    const form = new FormData();
    form.set("version", String(version));
    form.set("mark", JSON.stringify({ kind, points, value, scan }));
    this.unkept.delete(shown);
    const answer = await post<{ id: string | null; mark: Mark }>(this.shared.keep, form, true);
    if (!answer.ok && this.kept.includes(shown)) this.unkept.add(shown);
    if (!answer.ok || !answer.value.id) return;
    const kept = { ...shown, ...answer.value.mark, id: answer.value.id };
    const place = this.kept.indexOf(shown);
    if (place < 0) {
      this.forget(kept); // it was removed before the server had it
      return;
    }
    this.kept[place] = kept;
    this.changed();
  }

  private forget({ id }: KeptMark): void {
    void post(`${this.shared.keep}/${id}/remove`, new FormData(), true);
  }

  private changed(): void {
    const list = element(".marks");
    element(".measures").hidden = !this.all.length;
    list.replaceChildren(...this.all.map((mark) => this.row(mark)));
    this.overlay.refresh();
    for (const listener of this.listeners) listener();
  }

  private row(mark: KeptMark): HTMLElement {
    const said = inWords(mark);
    const show = button(said, () => lookAt(this.stage, mark), "mark-show");
    const remove = button("×", () => this.remove(mark), "mark-remove");
    remove.setAttribute("aria-label", words.remove(said));
    return make("li", { class: "mark" }, show, remove);
  }
}

/** Such as "Distance 4.20 mm". */
export function inWords({ kind, value }: Mark): string {
  if (kind === "pin" || value === null) return words.pin;
  return words.measured[kind](amount(kind, value));
}

export function draw(pen: Pen, stage: Stage, { kind, points, value }: Mark): void {
  if (kind === "pin" || value === null) return;
  const spots = points.map((point) => stage.spot(new Vector3(...point)));
  pen.line(spots);
  for (const spot of spots) pen.dot(spot);
  const [from, to] = kind === "angle" ? [spots[1]!, spots[1]!] : [spots[0]!, spots[1]!];
  pen.label(amount(kind, value), { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - 22 });
}

/** Brings a mark into the middle of the picture. */
function lookAt(stage: Stage, { points }: Mark): void {
  showPicture();
  const middle = new Vector3();
  for (const point of points) middle.add(new Vector3(...point).divideScalar(points.length));
  stage.stand({ ...stage.goal(), target: stage.toWorld(middle) });
}

/** Whether a point of the surface lies behind another scan or another tooth. */
export function isHidden(stage: Stage, parts: Parts, point: Vector): boolean {
  const at = new Vector3(...point);
  const { along, from } = stage.ray(stage.spot(at));
  const met = parts.meet({ from, along });
  return met !== undefined && met.point.distanceTo(from) < at.distanceTo(from) - hiddenBy;
}

/** Millimetres that something must lie in front to hide a point: less is the point's own surface. */
const hiddenBy = 0.3;

export function angleAt(one: Vector3, corner: Vector3, other: Vector3): number {
  const degrees = one.clone().sub(corner).angleTo(other.clone().sub(corner)) * (180 / Math.PI);
  return Number.isFinite(degrees) ? degrees : 0;
}
