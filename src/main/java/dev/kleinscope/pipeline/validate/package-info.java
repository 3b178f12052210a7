/** Reference cases: what other implementations compute, and how far ours is from it. */
package dev.kleinscope.pipeline.validate;
