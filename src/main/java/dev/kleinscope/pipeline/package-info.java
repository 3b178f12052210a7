/** From a prompt to a picture: tokenizer, noise, schedule, the denoising loop, and what sums activations on the way. */
package dev.kleinscope.pipeline;
