/**
 * The work of a scan's full detail, beside the page: unpacking, relief, and the tree for taps and cuts.
 * What it makes is handed over and not copied.
 */

import { type Tree, buildTree } from "./bvh";
import { type Model, readGlb } from "./glb";
import { type Relief, relief } from "./relief";

/** All that makes a surface; nothing if the file is none of ours, or damaged. */
export interface Made {
  readonly model: Model;
  readonly relief: Relief;
  readonly tree: Tree;
}

addEventListener("message", ({ data }: MessageEvent<ArrayBuffer>) => void answer(data));

async function answer(bytes: ArrayBuffer): Promise<void> {
  try {
    const model = await readGlb(bytes);
    tell({ model, relief: relief(model), tree: buildTree(model) });
  } catch {
    tell(undefined);
  }
}

function tell(made: Made | undefined): void {
  (postMessage as (made: Made | undefined, given: Transferable[]) => void)(made, made ? given(made) : []);
}

function given({ model, relief: { normals, hollow }, tree: { boxes, nodes } }: Made): Transferable[] {
  const { positions, corners, colours, places, image } = model;
  const arrays = [positions, corners, normals, hollow, boxes, nodes, colours, places];
  return [...arrays.flatMap((array) => (array ? [array.buffer] : [])), ...(image ? [image] : [])];
}
