-- Room on each page for the next versions of its rows: a step of a saga that finds it there changes no index, and meets no neighbour.
ALTER TABLE orders.saga SET (fillfactor = 40);
