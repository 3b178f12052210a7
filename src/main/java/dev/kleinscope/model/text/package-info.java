/** The Qwen3 text encoder. */
package dev.kleinscope.model.text;
