/**
 * What a server grants one peer. Everything a peer can make the server hold is bounded here; who goes beyond is
 * dropped, and nobody else notices.
 */

export interface ServerLimits {
  /** Longest message, that is: largest object. */
  readonly messageBytesMax: number
  /** Long messages under way from one client. */
  readonly streamsMax: number
  /** Bytes of one transaction, and bytes of messages that wait for an earlier one of the same view. */
  readonly transactionBytesMax: number
  /** Bytes queued for one client before no more of its requests are read, or carried out. */
  readonly outputBytesMax: number
  /** Messages of one client that wait for an earlier one of the same view. */
  readonly waitingMax: number
  readonly viewsMax: number
  readonly iterationsMax: number
  /** Packs under way for one client. */
  readonly packsMax: number
  /** Blobs under way from one client, and blobs that it has open. */
  readonly blobsArrivingMax: number
  readonly blobReadersMax: number
  /** Neighbours sent along with one object, and their bytes. */
  readonly neighboursMax: number
  readonly neighbourBytesMax: number
  /** Prefetches of one view that wait; further ones bring nothing. */
  readonly prefetchesMax: number
  readonly connectionsMax: number
  /** For the handshake, ms. */
  readonly greetingMs: number
  /** A client that has said nothing for so long is gone, ms. It is asked to be heard every third of that. */
  readonly silenceMs: number
  /** How long a transaction may stay voted, holding everybody else up, ms. */
  readonly votedMs: number
}

export const defaultLimits: ServerLimits = {
  messageBytesMax: 1024 ** 3,
  streamsMax: 64,
  transactionBytesMax: 2 * 1024 ** 3,
  outputBytesMax: 256 * 1024 ** 2,
  waitingMax: 1_000_000,
  viewsMax: 10_000,
  iterationsMax: 64,
  packsMax: 8,
  blobsArrivingMax: 64,
  blobReadersMax: 1024,
  neighboursMax: 1024,
  neighbourBytesMax: 1024 ** 2,
  prefetchesMax: 16,
  connectionsMax: 1000,
  greetingMs: 5000,
  silenceMs: 90_000,
  votedMs: 60_000,
}
