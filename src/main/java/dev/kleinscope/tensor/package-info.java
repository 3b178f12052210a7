/** Typed, named views of memory on some device, and their copies on the host. */
package dev.kleinscope.tensor;
