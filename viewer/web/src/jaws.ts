/** Which jaw a part belongs to, so that a jaw's biting side can be seen without its antagonist. */

import type { Part } from "./parts";

export type Jaw = "upper" | "lower";

/**
 * What covers a jaw's biting side: everything of the other jaw, and every bite scan.
 * Nothing, when the case has no part of that jaw: then an empty picture would be the only gain.
 */
export function covering(jaw: Jaw, parts: readonly Part[]): Part[] {
  const belongs = new Map(parts.map((part) => [part, jawOf(part, parts)]));
  if (![...belongs.values()].includes(jaw)) return [];
  return parts.filter((part) => ![jaw, undefined].includes(belongs.get(part) as Jaw | undefined));
}

/** Preps, designs and the like tell by their height: they stand on the jaw whose middle is nearer. */
function jawOf(part: Part, parts: readonly Part[]): Jaw | "bite" | undefined {
  const { role } = part.scan;
  if (role === "upper" || role === "lower") return role;
  if (/bite|buccal/.test(role)) return "bite";
  const upper = parts.find(({ scan }) => scan.role === "upper");
  const lower = parts.find(({ scan }) => scan.role === "lower");
  if (upper && lower) {
    const toUpper = Math.abs(part.height - upper.height);
    return toUpper < Math.abs(part.height - lower.height) ? "upper" : "lower";
  }
  if (upper) return part.height < lowest(upper) ? "lower" : "upper";
  if (lower) return part.height > highest(lower) ? "upper" : "lower";
  return undefined;
}

function lowest({ points }: Part): number {
  return Math.min(...points.map(({ y }) => y));
}

function highest({ points }: Part): number {
  return Math.max(...points.map(({ y }) => y));
}
