/**
 * What the colours of a map mean, in numbers: beside the picture, and in every picture of it that is sent
 * or printed, where nobody can point at a place and read its number.
 */

import { element } from "./case";
import { make } from "./dom";
import { type Stop, css } from "./scales";
import { signed } from "./words";

export class Legend {
  private readonly box = element(".legend");
  private shown: { readonly title: string; readonly scale: readonly Stop[] } | undefined;

  /** With what else belongs to it: the number at the pointer, facts of the case. */
  show(title: string, scale: readonly Stop[], more: readonly Node[]): void {
    this.shown = { title, scale };
    const bar = make("span", { class: "legend-bar" });
    const colours = scale.map(({ colour }, i) => `${css(colour)} ${100 * place(scale, i)}%`);
    bar.style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
    const numbers = make("span", { class: "legend-numbers" });
    scale.forEach(({ at }, i) => {
      const number = make("span", {}, signed(at));
      number.style.left = `${100 * place(scale, i)}%`;
      numbers.append(number);
    });
    this.box.replaceChildren(make("strong", {}, title), bar, numbers, ...more);
    this.box.hidden = false;
  }

  hide(): void {
    this.shown = undefined;
    this.box.hidden = true;
  }

  /** Draws itself into the upper left corner of a picture with `pixel` pixels to one of the page. */
  paint(context: CanvasRenderingContext2D, pixel: number, onPaper: boolean): void {
    if (!this.shown) return;
    const { title, scale } = this.shown;
    const style = getComputedStyle(this.box);
    const { fontFamily } = style;
    const [backgroundColor, color] = onPaper ? paper : [style.backgroundColor, style.color];
    context.save();
    context.scale(pixel, pixel);
    context.fillStyle = backgroundColor;
    context.beginPath();
    context.roundRect(8, 8, width + 48, 72, 8);
    context.fill();
    context.fillStyle = color;
    context.textBaseline = "middle";
    context.font = `600 13px ${fontFamily}`;
    context.fillText(title, 20, 24, width + 24);
    context.font = `13px ${fontFamily}`;
    context.textAlign = "center";
    const colours = context.createLinearGradient(32, 0, 32 + width, 0);
    scale.forEach(({ at, colour }, i) => {
      colours.addColorStop(place(scale, i), css(colour));
      context.fillText(signed(at), 32 + width * place(scale, i), 66);
    });
    context.fillStyle = colours;
    context.fillRect(32, 40, width, 12);
    context.restore();
  }
}

/** Ground and ink. */
const paper = ["#ffffff", "#14202b"] as const;

/** Pixels of the page between a drawn scale's first number and its last. */
const width = 264;

/** Evenly spread, 0 to 1: the numbers that matter stand close together around nothing. */
function place(scale: readonly Stop[], i: number): number {
  return i / (scale.length - 1);
}
