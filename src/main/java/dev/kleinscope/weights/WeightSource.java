package dev.kleinscope.weights;

import dev.kleinscope.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Named tensors from one file or several. Tensors are views of mapped memory and may be read until the source is closed;
 * all methods may be called from several threads.
 */
public interface WeightSource extends AutoCloseable {

    /** Names in a fixed order, that of the bytes in the files where nothing was renamed; unmodifiable. */
    Set<String> names();

    /**
     * A tensor, without copying it.
     *
     * @throws ModelException if there is none of that name
     * @throws IllegalStateException if the source is closed
     */
    Tensor tensor(String name);

    /** The file that holds a tensor. @throws ModelException if there is none of that name */
    Path file(String name);

    default boolean contains(String name) {
        return names().contains(name);
    }

    /** What this is, for messages and logs: the path of the file or of the index. */
    String describe();

    /** The files that hold the tensors, and the index if there is one. */
    List<Path> files();

    /**
     * SHA-256, in hexadecimal, of the file's header: names, types, shapes and offsets of all tensors, but not their values. Of several
     * files: of their headers' hashes, one a line, in the order of the file names.
     */
    String headerHash();

    /**
     * The same tensors, {@code prefix} removed from the names that begin with it. Other tensors keep their names, so that
     * none goes unnoticed. Closing the result closes this.
     *
     * @throws ModelException if two tensors would have the same name
     */
    default WeightSource stripPrefix(String prefix) {
        Map<String, RenamedWeights.View> views = new LinkedHashMap<>();
        for (String name : names()) {
            String shorter = name.startsWith(prefix) && name.length() > prefix.length()
                    ? name.substring(prefix.length()) : name;
            RenamedWeights.put(this, views, shorter, RenamedWeights.View.whole(name));
        }
        return new RenamedWeights(this, views);
    }

    @Override
    void close();
}
