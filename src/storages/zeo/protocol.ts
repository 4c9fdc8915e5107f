/**
 * The wire format, as constants. docs/zeo-protocol.md explains it; test vectors hold it in place.
 *
 * A connection carries messages both ways. A message is a header of 16 bytes and a body:
 *
 *     0   u32  bytes of the body
 *     4   u8   type
 *     5   u8   zero
 *     6   u16  zero
 *     8   u32  request id: names the request in its replies; 0 where no reply is wanted
 *     12  u32  view: the client's instance that this is about; 0 for the connection as a whole
 *
 * All numbers are big-endian; object and transaction ids take 8 bytes. A body longer than `frameBytesMax` travels as
 * one `long` message, whose body is the header that the whole would have had, followed by `chunk` messages with the
 * same request id field (here: a stream number). Chunks of different streams, and other messages, may lie in between.
 */

export const protocolVersion = 1

/** First bytes of the body of `hello` and `welcome`: "SHOOTZEO". */
export const magic = new Uint8Array([0x53, 0x48, 0x4f, 0x4f, 0x54, 0x5a, 0x45, 0x4f])

export const headerBytes = 16

/** Longest body that travels as one frame. It bounds how long a small message can wait behind a piece of a large one. */
export const frameBytesMax = 256 * 1024

/** Longest body before the handshake is done: enough for a token, useless for an attack. */
export const greetingBytesMax = 8 * 1024

/** Bytes of the random name of a client and of a server's run. */
export const nonceBytes = 16

/** Message types. Below 128 the client speaks, except where noted; replies answer any request. */
export const types = {
  /** → version u8, flags u8, session 16 bytes, token. The first message of a client. */
  hello: 1,
  /** ← version, server run, zaps, last tid, heartbeat, limits, capabilities. Answers `hello`. */
  welcome: 2,
  /** → token. May stand in place of `hello`; answered by JSON, then the server closes. */
  status: 3,
  /** Both ways, no body. Answered by `pong`. */
  ping: 4,
  pong: 5,
  long: 6,
  chunk: 7,
  /** → request id. Its answer is not wanted any more; packing and `prefetch` take notice. One-way. */
  cancel: 8,

  /**
   * → opens the next snapshot of the view. ← tid, changed oids. The first one makes the view.
   * With a tid and flags: ← tid, changed oids, and what changed since that tid for the client's cache.
   */
  poll: 16,
  /** → ends the snapshot and opens the next at once. ← as `poll`. */
  renew: 17,
  /** → ends the snapshot. One-way. */
  complete: 18,
  /** → ends the view. One-way. */
  release: 19,
  /**
   * → oid. ← snapshot tid, serial, data.
   * With a number and bytes: `objects` may follow, which the object refers to, at most so many and so large together.
   */
  load: 20,
  /** → oids. ← parts of: snapshot tid, count, (serial, length) each, data of all. Then an empty reply. */
  loadMany: 21,
  /** → oid, tid. ← serial, next serial, data; an empty body where the object is younger. */
  loadBefore: 22,
  /** → count. ← oids. */
  newOids: 23,
  /** → oid, count. ← entries. */
  history: 24,
  /** → (oid, tid, checksum) each. ← snapshot tid, oids of which the snapshot shows something else. */
  verify: 26,
  /**
   * → bytes, oids. ← `objects`, as long as they come to less than these bytes, behind everything else; then how many of
   * the oids were looked at.
   */
  prefetch: 27,
  /** → oid. ← 0; or 1, serial, bytes as a float, number of the reader. */
  openBlob: 25,
  /** → oid, serial, data; a blob follows. ← parts: bytes that may be sent more. Then an empty reply. */
  storeBlob: 31,

  /** → transaction number, user, description, extension. One-way, like the following. */
  begin: 32,
  /** → oid, serial, data. */
  store: 33,
  /** → oid, serial. */
  delete: 34,
  /** → oid, serial. */
  readCurrent: 35,
  /** → tid. ← oids. */
  undo: 36,
  /** ← resolved oids, or the first error of any one-way message of this transaction. */
  vote: 37,
  /** ← tid. May be sent without waiting for the vote: it fails when the vote has failed. */
  finish: 38,
  /** One-way. */
  abort: 39,
  /** → view, transaction number. ← 0: not committed, and never will be; 1: committed, and the tid; 2: unknown. */
  outcome: 40,

  zap: 48,
  /** → from, to. ← number of the iteration. */
  iterate: 49,
  /** → number of the iteration. ← transactions; none at the end. */
  iterateNext: 50,
  /** → number of the iteration. One-way. */
  iterateEnd: 51,
  /** → one transaction. */
  restore: 52,
  /** → before, collects u8. ← parts: progress, or records whose references are asked for. Then what was removed. */
  pack: 53,
  /** → request id of the pack, oids of each record asked about. One-way. */
  references: 54,

  /** → number of the blob (the request that announced it), bytes. One-way, like the following two. */
  blobChunk: 80,
  blobEnd: 81,
  blobFailed: 82,
  /** → number of the reader, position as a float, length. ← bytes. */
  readBlob: 83,
  /** → number of the reader. One-way. */
  closeBlob: 84,
  /** → number of an iteration, place of a record in its last transaction. ← number. */
  recordedBlob: 85,
  /** → that number. ← a chunk; nothing at the end. */
  recordedNext: 86,
  /** → that number. One-way. */
  recordedEnd: 87,

  /** ← last tid. One-way: there is something newer than the snapshots that were renewed ahead. */
  changed: 64,
  /** ← one-way: the store was emptied. */
  zapped: 65,
  /** ← one-way: the server ends; no new transactions. */
  goodbye: 66,

  /** ← one-way, about a view: snapshot tid, count, (oid, serial, length) each, data of all. */
  objects: 67,

  /** ← the answer to a request. */
  reply: 128,
  /** ← a piece of the answer; more follow. */
  part: 129,
  /** ← an error in place of the answer. */
  failed: 130,
} as const

/** In `hello`: the client will not write. */
export const helloReadOnly = 1

/** In `welcome`: the server takes no writes. */
export const welcomeReadOnly = 1

/** In `welcome`: the server finds references, and sends neighbours to who asks for them. */
export const welcomeNeighbours = 2

/** Object ids in one `prefetch`. */
export const prefetchedMax = 1024

/** First byte of a part of the answer to `pack`. */
export const packProgress = 0
export const packAsk = 1

/** Bytes of one blob that may be under way to the server without its credit. */
export const blobWindowBytes = 1024 * 1024

/** In place of a length: there is no such object. */
export const absentLength = 0xffff_ffff
