package dev.kleinscope.weights;

import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Tensors of another source under other names, whole or in part. */
final class RenamedWeights implements WeightSource {

    /** How a tensor is presented. Memory of copies comes from the arena, which lives as long as the source. */
    interface Presentation {
        Tensor of(Tensor stored, Arena copies);
    }

    /** A tensor of the inner source and what becomes of it. */
    record View(String source, Presentation presentation) {

        static View whole(String source) {
            return new View(source, (stored, copies) -> stored);
        }
    }

    private final WeightSource inner;
    private final Map<String, View> views;
    private final Arena copies = Arena.ofShared();
    private final Map<String, Tensor> tensors = new ConcurrentHashMap<>();

    /** @param views by exposed name, in the order of {@link #names}; not copied */
    RenamedWeights(WeightSource inner, Map<String, View> views) {
        this.inner = inner;
        this.views = views;
    }

    /** Adds a view. @throws ModelException if the name is taken */
    static void put(WeightSource source, Map<String, View> views, String name, View view) {
        View other = views.put(name, view);
        if (other != null) {
            throw new ModelException(source.describe() + ": " + Text.quote(other.source()) + " and "
                    + Text.quote(view.source())
                    + " both stand for " + Text.quote(name) + "; use a file that holds one model");
        }
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(views.keySet());
    }

    @Override
    public Tensor tensor(String name) {
        View view = view(name);
        Tensor stored = inner.tensor(view.source());
        return tensors.computeIfAbsent(name, key -> view.presentation().of(stored, copies).named(key));
    }

    @Override
    public Path file(String name) {
        return inner.file(view(name).source());
    }

    private View view(String name) {
        View view = views.get(name);
        if (view == null) {
            throw new ModelException(describe() + ": no tensor " + Text.quote(name));
        }
        return view;
    }

    @Override
    public String describe() {
        return inner.describe();
    }

    @Override
    public List<Path> files() {
        return inner.files();
    }

    @Override
    public String headerHash() {
        return inner.headerHash();
    }

    @Override
    public void close() {
        inner.close();
        tensors.values().forEach(tensor -> ((HostStorage) tensor.storage()).free("closing " + describe()));
        if (copies.scope().isAlive()) {
            copies.close();
        }
    }
}
