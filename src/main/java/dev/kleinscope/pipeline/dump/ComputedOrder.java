package dev.kleinscope.pipeline.dump;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import dev.kleinscope.probe.Point;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The order in which a transformer computes its points, however many blocks it has; names of nothing known come last. */
final class ComputedOrder implements Comparator<String> {

    private static final Pattern BLOCK = Pattern.compile("((?:single_)?transformer_blocks)\\.([0-9]{1,6})(.*)");

    /** Place of a name, every block's index being 0. */
    private static final Map<String, Integer> PLACES = places();

    private record Place(int group, int block, int within) implements Comparable<Place> {

        private static final Comparator<Place> ORDER = Comparator.comparingInt(Place::group).thenComparingInt(Place::block)
                .thenComparingInt(Place::within);

        @Override
        public int compareTo(Place other) {
            return ORDER.compare(this, other);
        }
    }

    private static Map<String, Integer> places() {
        DitConfig klein = DitConfig.KLEIN_4B;
        List<String> names = DitPoints.all(new DitConfig(klein.inChannels(), klein.outChannels(), 1, 1, klein.headDim(), klein.heads(),
                klein.textDim(), klein.timestepChannels(), klein.mlpHidden(), klein.ropeAxes(), klein.ropeTheta(), klein.eps(),
                klein.guidanceEmbeds())).stream().map(Point::name).toList();
        Map<String, Integer> places = new HashMap<>();
        names.forEach(name -> places.put(name, places.size()));
        return places;
    }

    @Override
    public int compare(String a, String b) {
        return place(a).compareTo(place(b));
    }

    private static Place place(String name) {
        Matcher block = BLOCK.matcher(name);
        boolean inBlock = block.matches();
        Integer place = PLACES.get(inBlock ? block.group(1) + ".0" + block.group(3) : name);
        if (place == null) {
            return new Place(Integer.MAX_VALUE, 0, 0);
        }
        // all blocks of a kind take the place of the first
        return inBlock ? new Place(PLACES.get(block.group(1).startsWith("single") ? "single_transformer_blocks.0.norm"
                : "transformer_blocks.0.norm1"), Integer.parseInt(block.group(2)), place) : new Place(place, 0, 0);
    }
}
