/**
 * Where a program begins that runs a model and watches it: {@link dev.kleinscope.Kleinscope#open} gives a model,
 * {@link dev.kleinscope.Kleinscope#run(String)} a {@link dev.kleinscope.Run}, and {@link dev.kleinscope.Run#watch(String,
 * dev.kleinscope.Watcher)} what happens inside.
 */
package dev.kleinscope;
