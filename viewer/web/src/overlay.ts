/**
 * What is drawn over the picture: measurements, pins, a handle. A canvas of its own, so that a picture to
 * send is the two laid on each other; for who does not see it, the same things stand in lists beside it.
 */

import { finest } from "./easel";
import type { Spot, Stage } from "./stage";

export interface Pen {
  line(spots: readonly Spot[], faded?: boolean): void;
  /** A line of many short strokes: pairs of spots. */
  outline(pairs: readonly Spot[]): void;
  dot(at: Spot): void;
  label(text: string, at: Spot): void;
  pin(text: string, at: Spot, faded: boolean, chosen: boolean): void;
  handle(at: Spot, towards: Spot): void;
  cross(at: Spot): void;
}

const ink = "#14202b";
const paper = "#ffffff";
const accent = "#0f766e";
const chosen = "#b45309";
const labelHeight = 26;
/** Around a label. */
const gap = 3;
const font = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

export class Overlay {
  readonly canvas = document.createElement("canvas");
  private readonly painters: ((pen: Pen) => void)[] = [];
  private waiting = 0;

  constructor(private readonly stage: Stage) {
    this.canvas.className = "overlay";
    this.canvas.setAttribute("aria-hidden", "true");
    stage.canvas.after(this.canvas);
    stage.onFrame(() => this.paint());
  }

  /** Paints with every frame, in the order in which they were added. */
  add(painter: (pen: Pen) => void): void {
    this.painters.push(painter);
  }

  /** Paints anew where only what lies over the picture has changed. */
  refresh(): void {
    this.waiting ||= requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    this.waiting = 0;
    const { width, height } = this.stage.size;
    const sharp = Math.min(devicePixelRatio, finest);
    this.canvas.width = Math.round(width * sharp);
    this.canvas.height = Math.round(height * sharp);
    const context = this.canvas.getContext("2d")!;
    context.scale(sharp, sharp);
    const pen = new CanvasPen(context, width, height);
    for (const painter of this.painters) painter(pen);
    pen.writeLabels();
  }
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly wide: number;
  readonly high: number;
}

class CanvasPen implements Pen {
  private readonly labels: { readonly text: string; readonly at: Spot }[] = [];
  /** Where something of this frame stands that no label may cover. */
  private readonly taken: Box[] = [];

  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly width: number,
    private readonly height: number,
  ) {
    context.font = font;
    context.textBaseline = "middle";
    context.lineCap = context.lineJoin = "round";
  }

  line(spots: readonly Spot[], faded = false): void {
    this.stroke(paper, 5, faded ? 0.35 : 0.85, () => this.path(spots));
    this.stroke(ink, 2, faded ? 0.4 : 1, () => this.path(spots));
  }

  outline(pairs: readonly Spot[]): void {
    const trace = () => {
      for (let i = 0; i < pairs.length; i += 2) this.path([pairs[i]!, pairs[i + 1]!]);
    };
    this.stroke(paper, 4.5, 0.8, trace);
    this.stroke(accent, 2.25, 1, trace);
  }

  dot({ x, y }: Spot): void {
    this.taken.push({ left: x - 6, top: y - 6, wide: 12, high: 12 });
    this.fill(paper, 1, () => this.context.arc(x, y, 6, 0, 2 * Math.PI));
    this.fill(accent, 1, () => this.context.arc(x, y, 4, 0, 2 * Math.PI));
  }

  /** Near its spot, where nothing else of this frame stands. */
  label(text: string, at: Spot): void {
    this.labels.push({ text, at });
  }

  /** After all that they must not cover. */
  writeLabels(): void {
    for (const { text, at } of this.labels) this.write(text, at);
  }

  pin(text: string, { x, y }: Spot, faded: boolean, isChosen: boolean): void {
    this.taken.push({ left: x - 14, top: y - 34, wide: 28, high: 36 });
    const opacity = faded ? 0.4 : 1;
    const drop = (size: number) => {
      this.context.arc(x, y - 20, size, Math.PI * 0.8, Math.PI * 0.2);
      this.context.lineTo(x, y + size - 11);
    };
    this.fill(paper, opacity, () => drop(14));
    this.fill(isChosen ? chosen : accent, opacity, () => drop(12));
    this.context.globalAlpha = opacity;
    this.context.fillStyle = paper;
    this.context.fillText(text, x - this.context.measureText(text).width / 2, y - 19);
    this.context.globalAlpha = 1;
  }

  handle({ x, y }: Spot, towards: Spot): void {
    this.fill(paper, 1, () => this.context.arc(x, y, 17, 0, 2 * Math.PI));
    this.stroke(accent, 2, 1, () => this.context.arc(x, y, 15, 0, 2 * Math.PI));
    const turn = Math.atan2(towards.y - y, towards.x - x);
    for (const way of [turn, turn + Math.PI]) {
      const [dx, dy] = [Math.cos(way), Math.sin(way)];
      const tip = { x: x + dx * 10, y: y + dy * 10 };
      const feather = (side: number) => ({
        x: tip.x - dx * 5 + dy * side * 4,
        y: tip.y - dy * 5 - dx * side * 4,
      });
      this.stroke(accent, 2, 1, () => this.path([feather(1), tip, feather(-1)]));
      this.stroke(accent, 2, 1, () => this.path([{ x, y }, tip]));
    }
  }

  cross({ x, y }: Spot): void {
    const arms = [
      [{ x: x - 14, y }, { x: x - 4, y }],
      [{ x: x + 4, y }, { x: x + 14, y }],
      [{ x, y: y - 14 }, { x, y: y - 4 }],
      [{ x, y: y + 4 }, { x, y: y + 14 }],
    ];
    for (const arm of arms) this.line(arm);
  }

  private write(text: string, { x, y }: Spot): void {
    const wide = this.context.measureText(text).width + 16;
    const left = Math.min(Math.max(x - wide / 2, 4), this.width - wide - 4);
    const top = this.free(left, wide, Math.min(Math.max(y - 13, 4), this.height - 30));
    this.taken.push({ left, top, wide, high: labelHeight });
    this.fill(ink, 0.9, () => this.context.roundRect(left, top, wide, labelHeight, 8));
    this.context.fillStyle = paper;
    this.context.fillText(text, left + 8, top + 14);
  }

  /** The nearest height to one that was wished for, up or down; that one itself in a full picture. */
  private free(left: number, wide: number, wished: number): number {
    for (let away = 0; away < this.height; away += 2) {
      for (const top of [wished - away, wished + away]) {
        const inside = top >= 4 && top <= this.height - 30;
        const place = { left, top, wide, high: labelHeight };
        if (inside && !this.taken.some((other) => meet(other, place))) return top;
      }
    }
    return wished;
  }

  private path(spots: readonly Spot[]): void {
    spots.forEach(({ x, y }, place) => {
      if (place) this.context.lineTo(x, y);
      else this.context.moveTo(x, y);
    });
  }

  private stroke(colour: string, width: number, opacity: number, trace: () => void): void {
    const { context } = this;
    context.globalAlpha = opacity;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    trace();
    context.stroke();
    context.globalAlpha = 1;
  }

  private fill(colour: string, opacity: number, trace: () => void): void {
    const { context } = this;
    context.globalAlpha = opacity;
    context.fillStyle = colour;
    context.beginPath();
    trace();
    context.closePath();
    context.fill();
    context.globalAlpha = 1;
  }
}

function meet(one: Box, other: Box): boolean {
  const beside = one.left + one.wide + gap <= other.left || other.left + other.wide + gap <= one.left;
  const above = one.top + one.high + gap <= other.top || other.top + other.high + gap <= one.top;
  return !beside && !above;
}
