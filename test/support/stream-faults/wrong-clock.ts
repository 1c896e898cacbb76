/** Loaded before a program (`--import`): its date is wrong by `TM_TEST_CLOCK_SKEW_MS`; what measures durations is not touched. */
const skewMs = Number(process.env['TM_TEST_CLOCK_SKEW_MS'] ?? 0);
const RightDate = Date;

globalThis.Date = new Proxy(RightDate, {
  construct: (target, parameters: [number?]): Date =>
    parameters.length === 0 ? new target(RightDate.now() + skewMs) : (Reflect.construct(target, parameters) as Date),
  get: (target, property) =>
    property === 'now' ? () => RightDate.now() + skewMs : (Reflect.get(target, property) as unknown),
});
