/** The operations on an NVIDIA GPU, through cuBLASLt, cuDNN and kernels of our own. */
package dev.kleinscope.backend.cuda;
