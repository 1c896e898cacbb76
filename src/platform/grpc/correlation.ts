/** The metadata that a call's correlation id comes in with and goes back with. */
export const correlationHeader = 'x-correlation-id';
