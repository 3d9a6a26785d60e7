/**
 * The colours of maps: blue for one way, orange for the other, which colour-blind eyes tell apart; each
 * scale stands beside the picture with its numbers. Values are millimetres.
 */

export interface Stop {
  readonly at: number;
  /** sRGB, 0 to 255. */
  readonly colour: readonly [number, number, number];
}

/** Distances to the other jaw: below 0 the scans are in one another. */
export const contactScale: readonly Stop[] = [
  { at: -0.2, colour: [127, 39, 4] },
  { at: -0.05, colour: [236, 112, 20] },
  { at: 0, colour: [255, 237, 160] },
  { at: 0.1, colour: [158, 202, 225] },
  { at: 0.3, colour: [49, 130, 189] },
  { at: 1, colour: [8, 48, 107] },
];

/** What has changed: above 0 there is more material than before. */
export const changeScale: readonly Stop[] = [
  { at: -0.5, colour: [8, 48, 107] },
  { at: -0.1, colour: [107, 174, 214] },
  { at: 0, colour: [247, 247, 247] },
  { at: 0.1, colour: [253, 141, 60] },
  { at: 0.5, colour: [127, 39, 4] },
];

/** What has no value: it faces nothing. */
export const nothing: readonly [number, number, number] = [198, 192, 180];

export function colourAt(scale: readonly Stop[], value: number): readonly [number, number, number] {
  const after = scale.findIndex(({ at }) => at >= value);
  if (after === 0) return scale[0]!.colour;
  if (after < 0) return scale.at(-1)!.colour;
  const [low, high] = [scale[after - 1]!, scale[after]!];
  const part = (value - low.at) / (high.at - low.at);
  const mix = (i: 0 | 1 | 2) => low.colour[i] + (high.colour[i] - low.colour[i]) * part;
  return [mix(0), mix(1), mix(2)];
}

export function css([red, green, blue]: readonly [number, number, number]): string {
  return `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;
}
