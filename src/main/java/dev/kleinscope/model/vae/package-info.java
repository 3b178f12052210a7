/** The FLUX.2 autoencoder, between pictures and latents. */
package dev.kleinscope.model.vae;
