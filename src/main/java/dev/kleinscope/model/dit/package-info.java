/** The FLUX.2 diffusion transformer, a class for each block. */
package dev.kleinscope.model.dit;
