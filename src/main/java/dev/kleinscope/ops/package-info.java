/** The operations that models are written in, and the frames that own their results. */
package dev.kleinscope.ops;
