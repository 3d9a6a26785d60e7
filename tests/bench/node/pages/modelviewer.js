// model-viewer on our own full mesh; its decoder of meshopt lies beside it instead of at a third party.
import { ModelViewerElement } from "@google/model-viewer/dist/model-viewer.min.js";

ModelViewerElement.meshoptDecoderLocation = "/meshopt.js";
const viewer = document.createElement("model-viewer");
viewer.style.width = "100vw";
viewer.style.height = "100vh";
viewer.style.backgroundColor = "black";
viewer.setAttribute("src", "/scan.glb");
document.body.append(viewer);
