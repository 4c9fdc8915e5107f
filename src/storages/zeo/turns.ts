/** Operations that wait for each other: one at a time, or not more than a few. What need not wait costs no promise. */

/** One at a time, in order; what is idle starts at once, synchronously. Operations handle their own errors. */
export class Turns {
  #isBusy = false
  readonly #waiting: (() => void | Promise<void>)[] = []

  get waiting(): number {
    return this.#waiting.length
  }

  run(operation: () => void | Promise<void>): void {
    if (this.#isBusy) {
      this.#waiting.push(operation)
      return
    }
    const running = operation()
    if (running === undefined) return
    this.#isBusy = true
    void this.#continue(running)
  }

  async #continue(running: Promise<void>): Promise<void> {
    await running
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await next()
    this.#isBusy = false
  }
}

/** Not more than so many at a time; the others wait, in order. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Undefined where there is room at once; else a promise of it. Whoever has taken one gives it back. */
  take(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--
      return undefined
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }

  give(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}
