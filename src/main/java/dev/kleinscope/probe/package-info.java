/** Places in a model where activations can be seen, by diffusers' names, and those who look. */
package dev.kleinscope.probe;
