/**
 * The work of a scan's full detail, beside the page: unpacking, relief, and the tree for taps and cuts.
 * The surface goes back as soon as it can be drawn; the tree follows.
 */

import { type Tree, buildTree } from "./bvh";
import { type Model, readGlb } from "./glb";
import { type Relief, relief } from "./relief";

export interface Asked {
  readonly id: number;
  readonly bytes: ArrayBuffer;
}

export type Answered =
  | { readonly id: number; readonly what: "surface"; readonly model: Model; readonly relief: Relief }
  | { readonly id: number; readonly what: "tree"; readonly tree: Tree }
  | { readonly id: number; readonly what: "broken" };

addEventListener("message", ({ data }: MessageEvent<Asked>) => void answer(data));

async function answer({ id, bytes }: Asked): Promise<void> {
  try {
    const model = await readGlb(bytes);
    const relieved = await relief(model);
    // What the tree is built from stays here until it is: the page gets a copy of that alone.
    const given = [
      relieved.normals.buffer,
      relieved.hollow.buffer,
      ...[model.colours, model.places].flatMap((array) => (array ? [array.buffer] : [])),
      ...(model.image ? [model.image] : []),
    ];
    tell({ id, what: "surface", model, relief: relieved }, given);
    const tree = buildTree(model);
    tell({ id, what: "tree", tree }, [tree.boxes.buffer, tree.nodes.buffer, tree.order.buffer]);
  } catch {
    tell({ id, what: "broken" }, []);
  }
}

function tell(answered: Answered, given: Transferable[]): void {
  (postMessage as (message: Answered, given: Transferable[]) => void)(answered, given);
}
