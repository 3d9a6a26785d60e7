/** The scale bar: how long some round number of millimetres is in the picture as it stands. */

import { element } from "./case";
import type { Stage } from "./stage";
import { words } from "./words";

const lengths = [10, 20, 50, 5, 2, 1, 0.5, 0.2, 0.1];
const shortest = 36;
const longest = 200;

export function connectScale(stage: Stage): void {
  const bar = element(".scale-bar");
  const label = element(".scale-length");
  stage.onFrame(({ pixelsPerMillimetre: zoom, subject }) => {
    if (!subject.points().length) return;
    const fits = (length: number) => length * zoom >= shortest && length * zoom <= longest;
    const length = lengths.find(fits);
    bar.hidden = length === undefined;
    label.textContent = length === undefined ? "" : words.millimetres(length, length < 1 ? 1 : 0);
    if (length !== undefined) bar.style.width = `${(length * zoom).toFixed(1)}px`;
  });
}
