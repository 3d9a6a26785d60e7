/**
 * The keyboard on the picture and its tools. Letters and digits also work while nothing has the focus;
 * arrows turn the jaws only from the picture, since elsewhere they scroll the page or move a slider.
 */

import type { Stage } from "./stage";
import { type Views, viewNames } from "./views";

/** Pixels, as if dragged. */
const turn = 30;
const move = 40;
const zoom = 1.25;

export function connectKeys(stage: Stage, views: Views, tools: HTMLElement): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as Node;
    const onCanvas = target === stage.canvas;
    const onPicture = onCanvas || tools.contains(target) || target === document.body;
    const done = (onCanvas && arrow(event)) || (onPicture && letter(event));
    if (done) event.preventDefault();
  });

  function arrow({ key, shiftKey }: KeyboardEvent): boolean {
    const right = Number(key === "ArrowRight") - Number(key === "ArrowLeft");
    const up = Number(key === "ArrowUp") - Number(key === "ArrowDown");
    if (!right && !up) return false;
    if (shiftKey) stage.move(right * move, -up * move, true);
    else stage.turn(right * turn, -up * turn, true);
    return true;
  }

  function letter({ key }: KeyboardEvent): boolean {
    const view = viewNames[Number(key) - 1];
    if (view) views.choose(view);
    else if (key === "f" || key === "F") stage.fit();
    else if (key === "+" || key === "=") stage.zoom(zoom, 0, 0, true);
    else if (key === "-" || key === "_") stage.zoom(1 / zoom, 0, 0, true);
    else return false;
    return true;
  }
}
