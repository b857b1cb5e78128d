/** Of everything in this repository; the check of the repository keeps it in step with package.json. */
export const VERSION = '0.1.0';
