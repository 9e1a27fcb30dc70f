/** Messages and services of the protos, and what makes and reads messages. */

export {
  create,
  fromBinary,
  fromJson,
  fromJsonString,
  toBinary,
  toJson,
  toJsonString,
} from "@bufbuild/protobuf";
export * from "./generated/all.js";
