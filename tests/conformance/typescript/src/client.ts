/** The client that is tested, and what it makes its calls by. */

export { Connection } from "../../../../clients/typescript/dist/connection.js";
export { EventfoldError } from "../../../../clients/typescript/dist/errors.js";
export { errorOfStatus } from "../../../../clients/typescript/dist/failures.js";
export { Settings } from "../../../../clients/typescript/dist/settings.js";
export * as stubs from "../../../../clients/typescript/dist/stubs.js";
export {
  createRegistry,
  type DescMessage,
  type DescMethod,
  type JsonValue as ProtoJson,
  type Registry,
} from "../../../../clients/typescript/node_modules/@bufbuild/protobuf/dist/esm/index.js";
