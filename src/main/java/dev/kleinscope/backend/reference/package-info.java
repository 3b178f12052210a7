/** Plain loops in f32: the executable specification of the operations. */
package dev.kleinscope.backend.reference;
