/**
 * What nobody waits for, in the server: steps of reading ahead, for all clients together. One step is taken in each
 * round of the event loop, after everything that has arrived was handled, so a request of any client waits for one
 * step at most.
 */
export class Background {
  readonly #steps: (() => void)[] = []
  #isScheduled = false

  /** @param step short; where more is to be done, it adds the next. Handles its own errors */
  add(step: () => void): void {
    this.#steps.push(step)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#steps.length === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#steps.shift()!()
      this.#schedule()
    })
  }
}
