/**
 * What a behaviour waits for: the calls of the storage that have not been answered. A behaviour that runs out of time
 * says by these where it stands.
 *
 * The parts of a storage are handed out behind proxies that note each call and pass it on. What is answered at once
 * stays so, and promises are the storage's own, except of calls that give another part: those take one more turn of
 * the microtask queue.
 */

import { formatDuration } from '../core/units.ts'

interface Call {
  /** `transaction.vote` */
  readonly name: string
  readonly startMs: number
  /** Made at the call, for its stack, which nobody formats unless it is asked for. */
  readonly here: Error
}

/** What a part is called that comes from a method or property of this name. */
const parts: ReadonlyMap<string | symbol, string> = new Map<string | symbol, string>([
  ['newInstance', 'instance'],
  ['begin', 'transaction'],
  ['vote', 'voted'],
  ['openBlob', 'blob'],
  ['cache', 'cache'],
  ['iterate', 'iterate'],
  [Symbol.asyncIterator, 'iterate'],
])

export class Calls {
  readonly #underWay = new Set<Call>()

  /** The part, with its calls noted from now on, and those of what it gives out. */
  watch<T extends object>(name: string, part: T): T {
    // The target is empty, because a proxy may not change what a frozen object shows.
    return new Proxy<object>(
      {},
      {
        get: (_, key) => {
          const value: unknown = Reflect.get(part, key, part)
          if (typeof value === 'function') {
            return (...given: unknown[]) =>
              this.note(`${name}.${String(key)}`, () => this.#asPart(key, Reflect.apply(value, part, given)))
          }
          return this.#asPart(key, value)
        },
        set: (_, key, value) => Reflect.set(part, key, value, part),
        has: (_, key) => Reflect.has(part, key),
      },
    ) as T
  }

  /** Makes a call, and notes it until it is answered. */
  note<T>(name: string, call: () => T): T {
    const noted: Call = { name, startMs: performance.now(), here: new Error(name) }
    this.#underWay.add(noted)
    const end = () => void this.#underWay.delete(noted)
    try {
      const answer = call()
      if (isPromise(answer)) answer.then(end, end)
      else end()
      return answer
    } catch (error) {
      end()
      throw error
    }
  }

  /** `transaction.vote (59.9 s)` for each call that waits, the one that waits longest first; undefined when none does. */
  describe(): string | undefined {
    if (this.#underWay.size === 0) return undefined
    const waiting = [...this.#underWay].map(
      ({ name, startMs }) => `${name} (${formatDuration((performance.now() - startMs) * 1e6)})`,
    )
    const most = 5
    const more = waiting.length > most ? `, and ${waiting.length - most} more` : ''
    return waiting.slice(0, most).join(', ') + more
  }

  /** Where the call that waits longest was made, without what stands in this file. */
  get frames(): readonly string[] | undefined {
    const [first] = this.#underWay
    return first?.here.stack
      ?.split('\n')
      .filter((line) => /^\s+at /.test(line) && !/\/calls\.[jt]s/.test(line))
  }

  #asPart(key: string | symbol, value: unknown): unknown {
    const name = parts.get(key)
    if (name === undefined || value === undefined || value === null) return value
    if (isPromise(value)) return value.then((part) => this.#asPart(key, part))
    return typeof value === 'object' ? this.watch(name, value) : value
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function'
}
