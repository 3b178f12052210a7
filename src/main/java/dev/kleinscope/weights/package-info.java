/** Models on disk: folders and single files, safetensors, and the names that weights go by. */
package dev.kleinscope.weights;
