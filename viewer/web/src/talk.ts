/**
 * What people say about the case: the list beside the picture, pins on the scans, and the form. A remark
 * is shown as sent only when the server has it.
 */

import { Vector3 } from "three";
import type { Case, KeptMark, Mark, Remark, SavedView, Vector } from "./case";
import { element } from "./case";
import { button, make, showPicture } from "./dom";
import { type Marks, draw, inWords, isHidden } from "./marks";
import type { Overlay, Pen } from "./overlay";
import type { Parts } from "./parts";
import type { Picking } from "./picking";
import type { Sending } from "./sending";
import type { Snapshot } from "./snapshot";
import type { Spot, Stage } from "./stage";
import type { Tool } from "./tools";
import { words } from "./words";

export class Talk implements Tool {
  readonly name = "pin";
  /** Closes the pin tool, shows another version or an earlier sight: set by whoever has the tools. */
  leave: () => void = () => {};
  showVersion: (version: number) => void = () => {};
  showView: (view: SavedView) => void = () => {};
  private remarks: readonly Remark[];
  private chosen: Remark | undefined;
  /** Set, and not yet sent: one of each version. */
  private readonly pins = new Map<number, Mark>();
  private readonly text = element<HTMLTextAreaElement>("#say-text");
  private readonly problem = element(".say-problem");
  private readonly send = element<HTMLButtonElement>(".say button[type=submit]");
  private readonly hint = make("p", { class: "card-hint", role: "status" });
  private withMarks = true;

  constructor(
    shared: Case,
    private readonly stage: Stage,
    private readonly parts: Parts,
    private readonly overlay: Overlay,
    private readonly picking: Picking,
    private readonly marks: Marks,
    private readonly snapshot: Snapshot,
    private readonly sending: Sending,
  ) {
    this.remarks = shared.remarks;
    overlay.add((pen) => this.draw(pen));
    marks.onChange(() => this.tellWith());
    element<HTMLFormElement>(".say").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.say();
    });
    this.tell();
    this.tellWith();
  }

  start(): readonly Node[] {
    this.hint.textContent = words.pinHint;
    return [this.hint];
  }

  stop(): void {}

  /** A pin is dropped, and its words are asked for at once. */
  tap(spot: Spot): void {
    const picked = this.picking.at(spot);
    if (!picked) {
      this.hint.textContent = words.missed;
      return;
    }
    const points = [picked.point.toArray() as unknown as Vector];
    const scan = picked.part?.scan.n ?? null;
    this.pins.set(this.marks.version, { kind: "pin", points, value: null, scan });
    this.leave();
    this.tellWith();
    this.overlay.refresh();
    this.text.focus();
  }

  /** Shows a remark that has just been sent, here or by a verdict. */
  add(remark: Remark): void {
    this.remarks = [...this.remarks.filter(({ id }) => id !== remark.id), remark];
    this.tell();
  }

  replace(remarks: readonly Remark[]): void {
    if (JSON.stringify(remarks) === JSON.stringify(this.remarks)) return;
    this.remarks = remarks;
    this.tell();
  }

  /** What goes with the next remark, and is there no more when it has arrived. */
  attached(): readonly Mark[] {
    const measured = this.withMarks ? this.marks.all.map(bare) : [];
    return this.pin ? [this.pin, ...measured] : measured;
  }

  /** What is written and not sent. */
  get words(): string {
    return this.text.value.trim();
  }

  /** Another version is shown: what belongs to the one before does not go with a comment on it. */
  turnPage(): void {
    this.chosen = undefined;
    this.snapshot.forget();
    this.tellWith();
  }

  /** With the words that a verdict has taken from the comment's box. */
  sent(remark: Remark, taken = ""): void {
    if (taken && remark.text && taken === this.words) this.text.value = "";
    if (this.withMarks) for (const mark of [...this.marks.all]) this.marks.remove(mark as KeptMark);
    this.pins.delete(this.marks.version);
    this.chosen = remark;
    this.add(remark);
    this.tellWith();
  }

  /** A drawing was made: its words are asked for. */
  invite(): void {
    this.tellWith();
    this.text.focus();
  }

  /** Says again what goes with the comment. */
  tellWith(): void {
    for (const place of document.querySelectorAll(".say-with")) place.replaceChildren(...this.extras());
    this.overlay.refresh();
  }

  private get pin(): Mark | undefined {
    return this.pins.get(this.marks.version);
  }

  private extras(): Node[] {
    const rows: Node[] = [];
    if (this.pin) rows.push(this.extra(words.withPin, () => this.pins.delete(this.marks.version)));
    if (this.snapshot.drawn) rows.push(this.extra(words.withDrawing, () => this.snapshot.forget()));
    const { length } = this.marks.all;
    if (length) rows.push(this.choice(words.withMeasures(length)));
    return rows;
  }

  private extra(label: string, remove: () => void): HTMLElement {
    const away = button("×", () => (remove(), this.tellWith()), "mark-remove");
    away.setAttribute("aria-label", words.remove(label));
    return make("p", { class: "say-extra" }, make("span", {}, label), away);
  }

  private choice(label: string): HTMLElement {
    const box = make("input", { type: "checkbox", checked: this.withMarks });
    box.addEventListener("change", () => {
      this.withMarks = box.checked;
      this.tellWith();
    });
    return make("label", { class: "say-extra" }, box, label);
  }

  private async say(): Promise<void> {
    const draft = {
      kind: "comment",
      version: this.marks.version,
      text: this.words,
      marks: this.attached(),
    } as const;
    if (!draft.text && !draft.marks.length && !this.snapshot.drawn) {
      this.problem.textContent = words.writeFirst;
      this.text.focus();
      return;
    }
    this.problem.textContent = "";
    this.send.disabled = true;
    const answer = await this.sending.send(draft);
    this.send.disabled = false;
    if (!answer.ok) {
      this.problem.textContent = answer.sentence;
      return;
    }
    this.text.value = "";
    this.sent(answer.value.remark);
    this.text.focus();
  }

  private tell(): void {
    const numbers = this.numbers();
    element(".remarks").replaceChildren(
      ...this.remarks.map((remark) => this.row(remark, numbers.get(remark))),
    );
    element(".no-remarks").hidden = this.remarks.length > 0;
    this.overlay.refresh();
  }

  /** Pins are numbered as they came, so that the number in the picture is the one in the list. */
  private numbers(): Map<Remark, number> {
    const pinned = this.remarks.filter(({ marks }) => marks.some(({ kind }) => kind === "pin"));
    return new Map(pinned.map((remark, place) => [remark, place + 1]));
  }

  private row(remark: Remark, number?: number): HTMLElement {
    const { author, kind, version, when, reasons, text, marks, view, picture } = remark;
    const name = make("b", {}, make("bdi", {}, author));
    const head = make("p", { class: "remark-head" });
    head.append(...words.said[kind](name, version), " ", make("time", { class: "quiet" }, when));
    const measured = marks.filter((mark) => mark.kind !== "pin").map(inWords);
    const item = make(
      "li",
      { class: "remark", "data-kind": kind },
      head,
      reasons.length ? make("p", { class: "remark-reasons" }, reasons.join(words.comma)) : undefined,
      ...(text ? inFull(text) : []),
      measured.length ? make("p", { class: "remark-marks" }, measured.join(words.comma)) : undefined,
    );
    const foot = make("p", { class: "remark-foot" });
    if (view) {
      const label = number === undefined ? words.showView : words.showPin(number);
      foot.append(button(label, () => this.choose(remark), "link"));
    }
    if (picture) foot.append(make("a", { href: picture, target: "_blank", rel: "noopener" }, words.asSeen));
    if (foot.childNodes.length) item.append(foot);
    return item;
  }

  private choose(remark: Remark): void {
    const { view, version } = remark;
    if (version !== this.marks.version) this.showVersion(version);
    this.chosen = remark;
    if (view) this.showView(view);
    showPicture();
    this.overlay.refresh();
  }

  private draw(pen: Pen): void {
    for (const [remark, number] of this.numbers()) {
      if (remark.version !== this.marks.version) continue;
      const { points } = remark.marks.find(({ kind }) => kind === "pin")!;
      this.drawPin(pen, points[0]!, String(number), remark === this.chosen);
    }
    if (this.pin) this.drawPin(pen, this.pin.points[0]!, "+", true);
    if (this.chosen?.version === this.marks.version) {
      for (const mark of this.chosen.marks) draw(pen, this.stage, mark);
    }
  }

  private drawPin(pen: Pen, point: Vector, text: string, isChosen: boolean): void {
    const spot = this.stage.spot(new Vector3(...point));
    pen.pin(text, spot, isHidden(this.stage, this.parts, point), isChosen);
  }
}

/** A long text is folded, so that what comes after it is not far away. */
function inFull(text: string): Node[] {
  const said = make("p", { class: "remark-text" }, text);
  if (text.length <= foldedFrom && text.split("\n").length <= foldedLines) return [said];
  said.classList.add("folded");
  const open = button(words.readOn, () => {
    said.classList.remove("folded");
    open.remove();
  }, "link");
  return [said, open];
}

const foldedFrom = 500;
const foldedLines = 10;

/** A mark without what this page knows of it. */
function bare({ kind, points, value, scan }: Mark): Mark {
  return { kind, points, value, scan };
}
