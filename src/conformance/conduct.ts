/**
 * How a behaviour is run: in a workshop of its own, with a time limit, and with the seed in the message when it fails.
 *
 * A storage that hangs must not hang the suite. What takes longer than the limit fails, and says which calls of the
 * storage were waited for; when three behaviours have, the rest is given up.
 */

import { ShootoutError } from '../core/errors.ts'
import type { OptionsOf, OptionsSpec } from '../core/options.ts'
import { Random } from '../core/random.ts'
import { formatDuration } from '../core/units.ts'
import type { StorageModule } from '../storages/storage.ts'
import type { Behaviour, Facts, Topic } from './behaviour.ts'
import { Calls } from './calls.ts'
import { within } from './claims.ts'
import type { StoreSource } from './stores.ts'
import { Workshop } from './workshop.ts'

/** Code of what took too long. */
export const timeoutCode = 'check-timeout'

/** Code of a behaviour that was not tried any more. */
export const givenUpCode = 'check-given-up'

/** Clean-up may wait for a commit that hangs; by then what hangs is known. */
const closingMsMax = 10_000

/** As many may run out of time. One may be special; after three it is the storage that hangs, at a minute each. */
const timeoutsMax = 3

/** What is checked, and under which conditions. */
export interface Circumstances {
  readonly module: StorageModule
  readonly options: OptionsOf<OptionsSpec>
  readonly source: StoreSource
  readonly seed: string
  readonly timeoutMs: number
}

export class Conduct {
  readonly #given: Circumstances
  #timeouts = 0

  constructor(given: Circumstances) {
    this.#given = given
  }

  /** Opens a store once, to see what cannot be known from the capabilities. @throws ShootoutError `check-timeout` */
  async findFacts(): Promise<Facts> {
    const shop = this.#workshop(new Random('facts'))
    return await this.#within(shop, 'opening the storage', async () => {
      const storage = await shop.storage()
      return { capabilities: shop.capabilities, hasCache: storage.cache !== undefined }
    })
  }

  /**
   * @throws Error when the claim does not hold
   * @throws ShootoutError `check-timeout`, `check-given-up`
   */
  async run(topic: Topic, behaviour: Behaviour): Promise<void> {
    if (this.#timeouts === timeoutsMax) {
      throw new ShootoutError(
        givenUpCode,
        `not checked, because ${timeoutsMax} behaviours before it ran out of time; mend those first`,
      )
    }
    const { seed } = this.#given
    const shop = this.#workshop(new Random(seed).split(topic.name, behaviour.claim))
    try {
      await this.#within(shop, 'this', () => behaviour.run(shop))
    } catch (error) {
      if (error instanceof ShootoutError && error.code === timeoutCode) this.#timeouts++
      if (error instanceof Error) error.message += `\n(seed ${seed})`
      throw error
    }
  }

  #workshop(random: Random): Workshop {
    const { module, options, source } = this.#given
    return new Workshop(module, options, source, random)
  }

  /** Does the work, then closes everything in the workshop. */
  async #within<T>(shop: Workshop, what: string, work: () => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#given
    const close = () =>
      limited(Math.min(timeoutMs, closingMsMax), 'closing everything', () => shop.dispose(), shop.calls)
    let result: T
    try {
      result = await limited(timeoutMs, what, work, shop.calls)
    } catch (error) {
      // What broke is the news; a clean-up that fails after it only follows from it.
      await close().catch(() => {})
      throw error
    }
    await close()
    return result
  }
}

/**
 * @param calls of the storage, which may be what the work waits for
 * @throws ShootoutError `check-timeout`
 */
export async function limited<T>(
  limitMs: number,
  what: string,
  work: () => Promise<T>,
  calls = new Calls(),
): Promise<T> {
  return await within(limitMs, what, work(), () => {
    const waiting = calls.describe()
    const error = new ShootoutError(
      timeoutCode,
      `${what} did not end within ${formatDuration(limitMs * 1e6)}; ` +
        (waiting === undefined ? 'no call of the storage was under way' : `waiting for ${waiting}`) +
        '. If it is only slow: --timeout, or timeoutMs, gives it longer',
      { details: { limitMs, ...(waiting === undefined ? {} : { waiting }) } },
    )
    // Where the call that waits longest was made says more than where the timer is.
    const { frames } = calls
    if (frames !== undefined) error.stack = [`${error.name}: ${error.message}`, ...frames].join('\n')
    return error
  })
}
