/** CLIP, which scores pictures against words. */
package dev.kleinscope.model.clip;
