/** The operations on all cores, through the Vector API and oneDNN. */
package dev.kleinscope.backend.cpu;
