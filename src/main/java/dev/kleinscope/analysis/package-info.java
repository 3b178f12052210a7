/** What is concluded from activations and pictures: norms, channels, sweeps, and what cannot be concluded. */
package dev.kleinscope.analysis;
