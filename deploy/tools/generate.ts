import { generateCode } from './generated-code.ts';

// npm run generate: proto/ -> src/gen.
await generateCode();
