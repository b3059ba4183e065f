-- A schema with objects that dump programs often get wrong. The account 'gone'@'%' does not exist on the target.
CREATE TABLE `every type` (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `tiny` TINYINT, `yes` TINYINT(1), `year` YEAR, `exact` DECIMAL(30, 10), `single` FLOAT, `double` DOUBLE, `bits` BIT(13),
  `day` DATE, `clock` TIME(6), `moment` DATETIME(6), `stamp` TIMESTAMP(3) NULL,
  `fixed` BINARY(8), `raw` VARBINARY(100), `picture` LONGBLOB, `words` LONGTEXT,
  `old` VARCHAR(50) CHARACTER SET latin1, `chinese` VARCHAR(50) CHARACTER SET gbk, `wide` VARCHAR(50) CHARACTER SET utf16,
  `choice` ENUM('a', 'it''s', 'ü'), `choices` SET('x', 'y', 'z'), `document` JSON,
  `place` POINT NOT NULL SRID 4326, `shape` GEOMETRY,
  `sum` INT GENERATED ALWAYS AS (`tiny` + 1) STORED, `title` VARCHAR(60) GENERATED ALWAYS AS (CONCAT(`old`, ';\n')) VIRTUAL,
  `hidden` INT DEFAULT 7 INVISIBLE, `made` DATETIME DEFAULT (NOW()),
  SPATIAL INDEX (`place`), FULLTEXT INDEX (`words`), INDEX ((LOWER(`old`))),
  CONSTRAINT `small` CHECK (`tiny` < 120)
) COMMENT 'semicolons; and ''quotes''';
CREATE TABLE `no key` (`a` INT, `b` TEXT);
CREATE TABLE `select` (`group` INT PRIMARY KEY, `a``b` INT, `na"me` INT, `blank name` INT, `日本` INT);
CREATE TABLE `nothing` (id INT PRIMARY KEY);
CREATE TABLE `child` (id INT PRIMARY KEY, parent BIGINT UNSIGNED, next INT,
  FOREIGN KEY (parent) REFERENCES `every type` (id) ON DELETE CASCADE, FOREIGN KEY (next) REFERENCES `child` (id));
CREATE TABLE `parts` (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3;
CREATE TABLE `dates` (d DATE NOT NULL, t DATETIME, z TIMESTAMP NULL);
CREATE TABLE `zero` (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 50;
CREATE TABLE `log` (what TEXT);

SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO `every type` (id, `tiny`, `yes`, `year`, `exact`, `single`, `double`, `bits`, `day`, `clock`, `moment`, `stamp`, `fixed`,
  `raw`, `words`, `old`, `chinese`, `wide`, `choice`, `choices`, `document`, `place`, `shape`, `hidden`) VALUES
  (1, -128, 1, 1999, 12345678901234567890.0123456789, 16777217.5, 0.1e-300, b'1010101010101', '9999-12-31', '-838:59:58.999999',
   '2026-03-29 02:30:00.123456', '2026-01-01 00:00:00.001', 0x00010203, 0x00270a0d1a5c22ff, 'O''Hara\\n\n\r\0\Z"; -- ☃ 🎣', 'é;',
   '中文', '🎣', 'it''s', 'x,z', '{"a": [1, 2.50, null, "it''s \\n"]}', ST_GeomFromText('POINT(47.5 -52.7)', 4326),
   ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'), 8),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', '', '', '', NULL, '', 'null',
   ST_GeomFromText('POINT(0 0)', 4326), NULL, NULL),
  (18446744073709551615, 119, 0, 0, -0.1, 3.402823e38, -1.7976931348623157e308, 0, '0000-00-00', '00:00:00', '0000-00-00', NULL,
   '', 0x27, REPEAT('x', 2000000), REPEAT('ÿ', 50), '', '', 'ü', 'y', '[]', ST_GeomFromText('POINT(0 0)', 4326), NULL, 9);
UPDATE `every type` SET `picture` = REPEAT(RANDOM_BYTES(1024), 30720) WHERE id = 1;
INSERT INTO `no key` VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL), (2, ');\nDELIMITER ;;\n-- Code\n');
INSERT INTO `select` VALUES (1, 2, 3, 4, 5);
INSERT INTO `child` VALUES (1, 1, NULL), (2, 1, 1), (3, NULL, NULL);
UPDATE `child` SET next = 2 WHERE id = 1;
INSERT INTO `parts` VALUES (1, 1), (2, 2), (3, 3), (4, NULL);
INSERT INTO `dates` VALUES ('0000-00-00', '2026-00-00', '0000-00-00');
INSERT INTO `zero` VALUES (0), (7);

CREATE DEFINER = 'gone'@'%' FUNCTION `plus one`(n INT) RETURNS INT DETERMINISTIC RETURN n + 1;
CREATE VIEW `z view` AS SELECT id FROM `every type`;
CREATE DEFINER = 'gone'@'%' VIEW `a view` AS SELECT v.id, `plus one`(v.id) AS more, 'it''s; a `word`.x' AS literal FROM `z view` v;
CREATE TABLE `nasty` (id INT PRIMARY KEY, other INT);
INSERT INTO `nasty` VALUES (1, 2), (2, 1);
CREATE VIEW `same name` AS SELECT nasty.id FROM nasty JOIN nothing ON nothing.id = nasty.other;
CREATE VIEW `both` AS SELECT nasty.id, s.schema_name FROM nasty.nasty JOIN information_schema.schemata s ON s.schema_name = 'nasty.nasty'
  WHERE `plus one`(nasty.id) > 1;
CREATE VIEW `elsewhere` AS SELECT t.id, s.schema_name FROM `nothing` t JOIN information_schema.schemata s ON s.schema_name = 'x';
DELIMITER ;;
CREATE DEFINER = 'gone'@'%' PROCEDURE `two results`(IN a INT)
BEGIN
  -- A comment; with a semicolon
  SELECT a; /* another; one */
  SELECT CONCAT('$$', ";", a);
END;;
CREATE DEFINER = 'gone'@'%' TRIGGER `before insert` BEFORE INSERT ON `no key` FOR EACH ROW
BEGIN
  SET NEW.a = COALESCE(NEW.a, 0) + 1;
END;;
CREATE TRIGGER `and then` BEFORE INSERT ON `no key` FOR EACH ROW FOLLOWS `before insert` INSERT INTO `log` VALUES (CONCAT(NEW.b, '; -- ü'));;
CREATE DEFINER = 'gone'@'%' EVENT `each day` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' COMMENT 'it''s; daily'
DO BEGIN
  DELETE FROM `log`;
  DELETE FROM `log`;
END;;
DELIMITER ;
CREATE TABLE `short lived` (id INT);
CREATE VIEW `broken` AS SELECT id FROM `short lived`;
DROP TABLE `short lived`;
