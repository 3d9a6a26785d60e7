/**
 * The tools of the bar. One of those that take taps is in the hand at a time; layers, such as a section or a
 * map, stay while another tool is used on them. Esc leaves the tool, then the layer that came last.
 */

import { element } from "./case";
import { button, make } from "./dom";
import type { Overlay } from "./overlay";
import type { Spot, Stage } from "./stage";
import { words } from "./words";

export interface Tool {
  /** As the bar's button is called. */
  readonly name: string;
  /** A layer does not leave the hand to others: it stays. */
  readonly isLayer?: boolean;
  /** Takes up work; returns what stands in its card, if it needs one. */
  start(): readonly Node[];
  stop(): void;
  tap?(spot: Spot): void;
  hover?(spot: Spot | undefined): void;
  grab?(spot: Spot): ((to: Spot) => void) | undefined;
}

export class Tools {
  private readonly active: Tool[] = [];
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private readonly cards = new Map<Tool, HTMLElement>();
  private readonly holder = element(".card");

  constructor(
    private readonly stage: Stage,
    overlay: Overlay,
  ) {
    overlay.add((pen) => {
      const { width, height } = stage.size;
      if (this.takesKeys) pen.cross({ x: width / 2, y: height / 2 });
    });
    for (const event of ["focus", "blur"] as const) {
      stage.canvas.addEventListener(event, () => overlay.refresh());
    }
    stage.canvas.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !this.tapped) return;
      const { width, height } = stage.size;
      this.tap({ x: width / 2, y: height / 2 });
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (this.leave()) event.preventDefault();
    });
  }

  /** Connects a tool with its button. */
  add(tool: Tool): void {
    const place = element<HTMLButtonElement>(`[data-tool="${tool.name}"]`);
    this.buttons.set(tool.name, place);
    place.addEventListener("click", () => this.toggle(tool));
  }

  /** Hides the button of something that this case has nothing for. */
  without(name: string): void {
    element(`[data-tool="${name}"]`).hidden = true;
  }

  isOn(tool: Tool): boolean {
    return this.active.includes(tool);
  }

  toggle(tool: Tool): void {
    if (this.isOn(tool)) this.end(tool);
    else this.begin(tool);
  }

  end(tool: Tool): void {
    const place = this.active.indexOf(tool);
    if (place < 0) return;
    this.active.splice(place, 1);
    tool.stop();
    const card = this.cards.get(tool);
    if (card?.contains(document.activeElement)) this.buttons.get(tool.name)?.focus();
    card?.remove();
    this.cards.delete(tool);
    this.tell(tool);
  }

  /** Ends the tool in the hand; layers stay. */
  layDown(): void {
    if (this.hand) this.end(this.hand);
  }

  tap(spot: Spot): void {
    this.tapped?.tap?.(spot);
  }

  hover(spot: Spot | undefined): void {
    (this.hand ?? [...this.active].reverse().find(({ hover }) => hover))?.hover?.(spot);
  }

  grab(spot: Spot): ((to: Spot) => void) | undefined {
    for (const tool of [...this.active].reverse()) {
      const drag = tool.grab?.(spot);
      if (drag) return drag;
    }
    return undefined;
  }

  private get hand(): Tool | undefined {
    return this.active.find(({ isLayer }) => !isLayer);
  }

  /** Whose a tap is: the tool's in the hand, else the layer's that came last and wants one. */
  private get tapped(): Tool | undefined {
    return this.hand ?? [...this.active].reverse().find(({ tap }) => tap);
  }

  /** Whether Enter taps the middle of the picture: who uses keys must see where that is. */
  private get takesKeys(): boolean {
    return this.tapped?.tap !== undefined && this.stage.canvas.matches(":focus-visible");
  }

  private begin(tool: Tool): void {
    if (!tool.isLayer && this.hand) this.end(this.hand);
    this.active.push(tool);
    const content = tool.start();
    if (content.length) {
      const done = button("×", () => this.end(tool), "mark-remove card-done");
      done.setAttribute("aria-label", words.done);
      const card = make("div", { class: "card-row" }, ...content, done);
      this.cards.set(tool, card);
      this.holder.append(card);
    }
    this.tell(tool);
  }

  private leave(): boolean {
    const tool = this.hand ?? this.active.at(-1);
    if (tool) this.end(tool);
    return tool !== undefined;
  }

  private tell(tool: Tool): void {
    this.holder.hidden = !this.cards.size;
    this.buttons.get(tool.name)?.setAttribute("aria-pressed", String(this.isOn(tool)));
    this.stage.canvas.classList.toggle("aims", this.hand?.tap !== undefined);
    this.stage.requestFrame();
  }
}
