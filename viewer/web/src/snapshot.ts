/**
 * The picture as it is seen, with what lies over it: it goes with every comment and verdict, and somebody
 * may draw arrows on it first. What is sent is exactly what was seen.
 */

import { element } from "./case";
import type { Legend } from "./legend";
import type { Overlay } from "./overlay";
import type { Spot, Stage } from "./stage";
import type { Tool } from "./tools";
import { words } from "./words";

/** Pixels of the longer side: enough for a margin, and small enough for a mailbox. */
const longest = 1600;
const arrowColour = "#d9480f";

interface Arrow {
  readonly from: Spot;
  readonly to: Spot;
}

export class Snapshot implements Tool {
  readonly name = "snapshot";
  /** A picture with arrows, for the next comment. */
  drawn: HTMLCanvasElement | undefined;
  private readonly dialog = element<HTMLDialogElement>("#snapshot");
  private base: HTMLCanvasElement | undefined;
  private paper: HTMLCanvasElement | undefined;
  private arrows: Arrow[] = [];

  constructor(
    private readonly stage: Stage,
    private readonly overlay: Overlay,
    private readonly legend: Legend,
    private readonly done: () => void,
  ) {
    element('[data-do="undo-arrow"]').addEventListener("click", () => {
      this.arrows.pop();
      this.paint();
    });
    element('[data-do="take-snapshot"]').addEventListener("click", () => {
      this.paint(); // without the cross of who draws by keys
      this.drawn = this.paper;
      this.dialog.close();
      this.done();
    });
    this.dialog.addEventListener("close", () => this.leave());
  }

  /** Set by whoever shows the tools: the dialog was closed. */
  leave: () => void = () => {};

  start(): readonly Node[] {
    this.base = this.seen();
    this.paper = document.createElement("canvas");
    this.paper.width = this.base.width;
    this.paper.height = this.base.height;
    this.arrows = [];
    element(".snapshot-paper").replaceChildren(this.paper);
    this.paint();
    this.connect(this.paper);
    this.connectKeys(this.paper);
    this.dialog.showModal();
    return [];
  }

  stop(): void {
    if (this.dialog.open) this.dialog.close();
  }

  /** What goes with a remark: the drawing, or else what is seen now. */
  async picture(): Promise<Blob | undefined> {
    const canvas = this.drawn ?? this.seen();
    return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? undefined), "image/png"));
  }

  forget(): void {
    this.drawn = undefined;
  }

  /** Scans and what lies over them, with what a map's colours mean, as one picture. */
  seen(onPaper = false): HTMLCanvasElement {
    const scans = this.stage.capture();
    const scale = Math.min(1, longest / Math.max(scans.width, scans.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(scans.width * scale);
    canvas.height = Math.round(scans.height * scale);
    const context = canvas.getContext("2d")!;
    context.fillStyle = onPaper ? "#ffffff" : getComputedStyle(element(".stage")).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const layer of [scans, this.overlay.canvas]) {
      context.drawImage(layer, 0, 0, canvas.width, canvas.height);
    }
    this.legend.paint(context, canvas.width / this.stage.size.width, onPaper);
    return canvas;
  }

  private connect(paper: HTMLCanvasElement): void {
    const place = ({ clientX, clientY }: PointerEvent): Spot => {
      const { left, top, width, height } = paper.getBoundingClientRect();
      return {
        x: ((clientX - left) / width) * paper.width,
        y: ((clientY - top) / height) * paper.height,
      };
    };
    let from: Spot | undefined;
    paper.addEventListener("pointerdown", (event) => {
      paper.setPointerCapture(event.pointerId);
      from = place(event);
    });
    paper.addEventListener("pointermove", (event) => {
      if (from) this.paint({ from, to: place(event) });
    });
    paper.addEventListener("pointerup", (event) => {
      const to = place(event);
      if (from && Math.hypot(to.x - from.x, to.y - from.y) > 8) this.arrows.push({ from, to });
      from = undefined;
      this.paint();
    });
  }

  /** Arrow keys move a cross; Enter sets where the arrow begins, and then where it points. */
  private connectKeys(paper: HTMLCanvasElement): void {
    paper.tabIndex = 0;
    paper.setAttribute("role", "application");
    paper.setAttribute("aria-label", words.arrowKeys);
    const step = Math.max(paper.width, paper.height) / 50;
    let at: Spot = { x: paper.width / 2, y: paper.height / 2 };
    let from: Spot | undefined;
    paper.addEventListener("keydown", (event) => {
      const { key } = event;
      const right = Number(key === "ArrowRight") - Number(key === "ArrowLeft");
      const down = Number(key === "ArrowDown") - Number(key === "ArrowUp");
      if (key !== "Enter" && !right && !down) return;
      event.preventDefault();
      at = { x: at.x + right * step, y: at.y + down * step };
      if (key === "Enter" && from) this.arrows.push({ from, to: at });
      if (key === "Enter") from = from ? undefined : at;
      this.paint(from && from !== at ? { from, to: at } : undefined);
      if (paper.matches(":focus-visible")) this.cross(at);
    });
  }

  private cross({ x, y }: Spot): void {
    const context = this.paper!.getContext("2d")!;
    const arm = this.paper!.width / 60;
    for (const [colour, wide] of [["#ffffff", arm / 4] as const, ["#14202b", arm / 8] as const]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(x - arm, y);
      context.lineTo(x + arm, y);
      context.moveTo(x, y - arm);
      context.lineTo(x, y + arm);
      context.stroke();
    }
  }

  private paint(drawing?: Arrow): void {
    if (!this.paper || !this.base) return;
    const context = this.paper.getContext("2d")!;
    context.drawImage(this.base, 0, 0);
    const width = Math.max(this.paper.width, this.paper.height) / 160;
    for (const arrow of drawing ? [...this.arrows, drawing] : this.arrows) {
      for (const [colour, wide] of [["#ffffff", width * 1.9] as const, [arrowColour, width] as const]) {
        paintArrow(context, arrow, colour, wide, width);
      }
    }
  }
}

function paintArrow(
  context: CanvasRenderingContext2D,
  { from, to }: Arrow,
  colour: string,
  wide: number,
  unit: number,
): void {
  const turn = Math.atan2(to.y - from.y, to.x - from.x);
  const feather = (side: number): Spot => ({
    x: to.x - Math.cos(turn + side * 0.5) * unit * 5,
    y: to.y - Math.sin(turn + side * 0.5) * unit * 5,
  });
  context.strokeStyle = colour;
  context.lineWidth = wide;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
  const [one, other] = [feather(1), feather(-1)];
  context.moveTo(one.x, one.y);
  context.lineTo(to.x, to.y);
  context.lineTo(other.x, other.y);
  context.stroke();
}
