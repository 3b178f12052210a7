package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.HostTensor;
import java.util.stream.IntStream;

/** Pictures as the autoencoder computes them [batch, height, width, channels] and as planes [batch, channels, height, width]. */
public final class Planes {

    private Planes() {
    }

    /** @throws IllegalArgumentException unless there are four dimensions */
    public static HostTensor toChannelsLast(HostTensor planes) {
        require(planes);
        HostTensor pixels = Latents.pack(planes);
        return HostTensor.of(planes.name(), pixels.values(), planes.shape().dim(0), planes.shape().dim(2), planes.shape().dim(3),
                planes.shape().dim(1));
    }

    /** @throws IllegalArgumentException unless there are four dimensions */
    public static HostTensor fromChannelsLast(HostTensor picture) {
        require(picture);
        int height = (int) picture.shape().dim(1);
        int width = (int) picture.shape().dim(2);
        HostTensor pixels = HostTensor.of(picture.name(), picture.values(), picture.shape().dim(0), (long) height * width,
                picture.shape().dim(3));
        return Latents.unpack(pixels, height, width);
    }

    /** A decoded picture, -1 to 1, as planes of 0 to 1; values beyond are clamped. */
    public static HostTensor unit(HostTensor decoded) {
        return unit(decoded, new float[decoded.values().length]);
    }

    /** As {@link #unit(HostTensor)}. @param planes as many values as the picture has, which the result will hold */
    static HostTensor unit(HostTensor decoded, float[] planes) {
        require(decoded);
        int height = (int) decoded.shape().dim(1);
        int width = (int) decoded.shape().dim(2);
        int channels = (int) decoded.shape().dim(3);
        float[] from = decoded.values();
        // one core takes milliseconds for a large picture
        IntStream.range(0, (int) decoded.shape().dim(0) * height).parallel().forEach(line -> {
            int source = line * width * channels;
            int target = (line / height * channels * height + line % height) * width;
            for (int c = 0; c < channels; c++) {
                for (int x = 0; x < width; x++) {
                    planes[target + c * height * width + x] = Math.clamp((from[source + x * channels + c] + 1f) / 2f, 0f, 1f);
                }
            }
        });
        return HostTensor.of(decoded.name(), planes, decoded.shape().dim(0), channels, height, width);
    }

    private static void require(HostTensor picture) {
        if (picture.shape().rank() != 4) {
            throw new IllegalArgumentException(picture + ": expected a picture of 4 dimensions");
        }
    }
}
