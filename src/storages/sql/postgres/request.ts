/**
 * Several statements in one message exchange. `pg` asks one at a time, and lets the server describe the columns of every
 * answer; a request sends all of its statements with one Sync behind them, so that the server answers once and skips what
 * comes after a failure, and has each prepared statement described once in a session.
 */

import type { EventEmitter } from 'node:events'
import { binaryDecoder, type Decoder, decodeRow, type PgRow, type PgValue, textDecoder } from './rows.ts'

/** A statement, prepared once for each session under its name; without a name it is sent as it is. */
export interface PgStatement {
  readonly name?: string
  readonly text: string
}

export interface PgStep {
  readonly statement: PgStatement
  readonly values?: readonly PgValue[]
}

/** A statement that the server has prepared. */
interface Prepared {
  /** Another one each time it is prepared: whether the server has it is not known after a failure. */
  readonly name: string
  readonly decoders: readonly Decoder[]
}

/** What a session has prepared, by the name of the statement. */
export class Preparations {
  readonly known = new Map<string, Prepared>()
  #count = 0

  newName(name: string): string {
    this.#count++
    return `${name}_${this.#count}`
  }
}

/** The parts of `pg`'s connection that requests use. */
export interface Wire {
  readonly stream: {
    cork(): void
    uncork(): void
    readonly bytesRead: number
    readonly bytesWritten: number
    destroy(): void
  }
  /** Begins to read what the server says. */
  attachListeners: (stream: EventEmitter) => void
  emit(event: 'dataRow', row: RowAt): void
  query(text: string): void
  parse(statement: { readonly name: string; readonly text: string }): void
  bind(values: {
    readonly statement: string
    readonly values: readonly (string | Buffer | null)[]
    readonly binary: true
  }): void
  describe(portal: { readonly type: 'P' }): void
  execute(): void
  sync(): void
}

/** Where the columns of a row begin. */
export interface RowAt {
  readonly bytes: Buffer
  readonly at: number
}

interface RowDescription {
  readonly fields: readonly { readonly dataTypeID: number; readonly format: string }[]
}

export interface RequestCallbacks {
  readonly preparations: Preparations
  resolve(results: readonly (readonly PgRow[])[]): void
  /** With the error of the first step that failed; those after it were not done. */
  reject(error: unknown): void
}

export type RequestClass = new (steps: readonly PgStep[], callbacks: RequestCallbacks) => object

/** @param Query that of `pg`, which lets nothing else share a connection with what was asked before (its pipeline mode) */
export function requestClass(Query: new (text: string) => object): RequestClass {
  return class Request extends Query {
    readonly #steps: readonly PgStep[]
    readonly #callbacks: RequestCallbacks
    /** By step: as whom it was sent, and what its rows are like, where that is known. */
    readonly #sent: { readonly name: string; readonly decoders: readonly Decoder[] | undefined }[] = []
    readonly #results: PgRow[][] = []
    /** Of the step that is being answered. */
    #rows: PgRow[] = []
    #decoders: readonly Decoder[] | undefined
    #failure: unknown

    constructor(steps: readonly PgStep[], callbacks: RequestCallbacks) {
      super('')
      this.#steps = steps
      this.#callbacks = callbacks
    }

    submit(connection: Wire): null {
      const [first] = this.#steps
      connection.stream.cork()
      try {
        if (isPlain(this.#steps)) connection.query(first!.statement.text)
        else {
          for (const step of this.#steps) this.#send(connection, step)
          connection.sync()
        }
      } finally {
        connection.stream.uncork()
      }
      this.#decoders = this.#sent[0]?.decoders
      return null
    }

    #send(connection: Wire, { statement, values = [] }: PgStep): void {
      const { name, text } = statement
      const { preparations } = this.#callbacks
      const prepared = name === undefined ? undefined : preparations.known.get(name)
      const serverName = prepared?.name ?? (name === undefined ? '' : preparations.newName(name))
      this.#sent.push({ name: serverName, decoders: prepared?.decoders })
      if (prepared === undefined) connection.parse({ name: serverName, text })
      connection.bind({ statement: serverName, values: values.map(parameter), binary: true })
      if (prepared === undefined) connection.describe({ type: 'P' })
      connection.execute()
    }

    handleRowDescription({ fields }: RowDescription): void {
      try {
        this.#decoders = fields.map(({ dataTypeID, format }) =>
          format === 'binary' ? binaryDecoder(dataTypeID) : textDecoder(dataTypeID),
        )
      } catch (error) {
        this.#failure ??= error
      }
    }

    handleDataRow({ bytes, at }: RowAt): void {
      if (this.#decoders === undefined) this.#failure ??= new Error('a row came that nobody had described')
      else this.#rows.push(decodeRow(this.#decoders, bytes, at))
    }

    handleCommandComplete(): void {
      const step = this.#results.length
      const name = this.#steps[step]?.statement.name
      const { known } = this.#callbacks.preparations
      if (name !== undefined && this.#failure === undefined && !known.has(name)) {
        known.set(name, { name: this.#sent[step]!.name, decoders: this.#decoders ?? [] })
      }
      this.#results.push(this.#rows)
      this.#rows = []
      this.#decoders = this.#sent[step + 1]?.decoders
    }

    handleReadyForQuery(): void {
      if (this.#failure === undefined) this.#callbacks.resolve(this.#results)
      else this.#callbacks.reject(this.#failure)
    }

    handleError(error: unknown): void {
      this.#callbacks.reject(error)
    }
  }
}

/** One text, maybe of several statements: PostgreSQL's simple protocol. */
function isPlain(steps: readonly PgStep[]): boolean {
  const [step] = steps
  return steps.length === 1 && step!.statement.name === undefined && step!.values === undefined
}

/** Buffers go in binary, everything else as text. */
function parameter(value: PgValue): string | Buffer | null {
  if (value === null || typeof value === 'string') return value
  if (typeof value === 'object') return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return String(value)
}
